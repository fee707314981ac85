"""Repeat the training of a finished run from what it kept, and compare every file's hash."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.errors import UserError
from tilth.base.events import Journal, read_journal
from tilth.base.files import digest_file, read_json, remove
from tilth.pipeline.execute import is_done, lock
from tilth.pipeline.run import prepare
from tilth.pipeline.stage import Context, Stage


@dataclass(frozen=True)
class Repetition:
    """One trained stage, once more."""

    stage: str
    environment: list[str]
    """What is different from when it was made."""
    different: list[str]
    """Files of the artifact that did not come out the same."""
    first_step: int | None
    """The first step of which another loss or norm was written."""

    @property
    def same(self) -> bool:
        """Whether every file came out the same."""
        return not self.different

    def as_text(self) -> str:
        """For people; differences of the environment first."""
        lines = [f"{self.stage}: {fact}" for fact in self.environment]
        if self.same:
            return "\n".join([*lines, f"{self.stage}: the same to the bit"])
        since = f", from step {self.first_step} on" if self.first_step else ""
        return "\n".join([*lines, f"{self.stage}: different{since}: {', '.join(self.different)}"])


def repeat_run(run_folder: Path, *, keep: bool = False) -> list[Repetition]:
    """Train every phase and step of the run again, aside, from the run's own artifacts; nothing of the run changes.

    `keep` leaves what was trained in `RUN/.repeat/`. UserError where the run is not whole, or where this version of
    Tilth, its sources or its settings would make other stages.
    """
    recipe_file = run_folder / "recipe.yaml"
    if not recipe_file.exists():
        raise UserError(
            "there is no kept recipe here", where=str(run_folder), hint="give a run folder, as runs/quickstart"
        )
    recipe, _, graph = prepare(recipe_file, [], run_folder.parent)
    trained = [stage for stage in graph.stages if "conditions.json" in stage.measured]
    for stage in trained:
        if not is_done(run_folder, stage):
            raise UserError(
                f"{stage.name} is not there as its kept recipe makes it ({stage.folder})",
                where=str(run_folder),
                hint="finish the run, or use the version of Tilth and the sources that it was made with",
            )
    with lock(run_folder):
        found = [_repeat(stage, run_folder, recipe.compute, keep=keep) for stage in trained]
        if not keep:
            remove(run_folder / ".repeat")
    return found


def _repeat(stage: Stage, run_folder: Path, compute: Any, *, keep: bool) -> Repetition:
    made, aside = run_folder / stage.folder, run_folder / ".repeat" / stage.folder
    remove(aside)
    out, work = aside / "out", aside / "work"
    for folder in (out, work):
        folder.mkdir(parents=True)
    shutil.copy(made / "decisions.jsonl", work)
    compute = compute.model_copy(update={"faults": None})
    inputs = {name: run_folder / needed.folder for name, needed in stage.inputs.items()}
    events = Journal(aside / "events.jsonl")
    try:
        stage.body(Context(out, work, inputs, compute, events, run_folder))
    finally:
        events.close()
        machine.release_memory()
    environment = _environment(made, out)
    for fact in environment:
        print(f"{stage.name}: {fact}", file=sys.stderr)
    hashes = read_json(made / "artifact.json")["files"]
    different = [name for name, digest in hashes.items() if _digest(out / name) != digest]
    repetition = Repetition(stage.name, environment, different, _first_step(made, out) if different else None)
    if not keep:
        remove(aside)
    return repetition


def _digest(path: Path) -> str | None:
    return digest_file(path) if path.exists() else None


def _environment(made: Path, out: Path) -> list[str]:
    """What conditions.json and the machine's description say differently."""
    before, now = read_json(made / "conditions.json"), read_json(out / "conditions.json")
    machines = read_json(made / "measured.json")["machine"], machine.describe()
    before |= {"processor": machines[0]["processor"]}
    now |= {"processor": machines[1]["processor"]}
    names = dict.fromkeys([*before, *now])
    return [f"{n} was {before.get(n)!r}, is {now.get(n)!r}" for n in names if before.get(n) != now.get(n)]


def _first_step(made: Path, out: Path) -> int | None:
    pairs = zip(*(read_journal(folder / "metrics.jsonl") for folder in (made, out)), strict=False)
    return next((int(a["step"]) for a, b in pairs if a != b), None)
