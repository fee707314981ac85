"""Run a recipe, or say what running it would do."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.errors import UserError, nearest
from tilth.base.files import read_json, write_json, write_text
from tilth.pipeline.checks import check_recipe
from tilth.pipeline.execute import Done, execute, is_done, lock
from tilth.pipeline.forecast import Forecast, forecast
from tilth.pipeline.graph import Graph, build_graph
from tilth.pipeline.recipe import ComputeSettings, Recipe, dump_recipe, load_recipe
from tilth.pipeline.stage import Stage


@dataclass(frozen=True)
class Plan:
    """What a run would make, and what it would need."""

    recipe: Recipe
    run_folder: Path
    stages: list[tuple[Stage, bool]]
    forecast: Forecast

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        stages = [{"stage": s.name, "fingerprint": s.fingerprint, "done": done} for s, done in self.stages]
        return {"run": str(self.run_folder), "stages": stages, "forecast": self.forecast.as_json()}

    def as_text(self) -> str:
        """For people."""
        width = max(len(stage.name) for stage, _ in self.stages)
        rows = [
            f"  {stage.name:<{width}}  {'there' if done else 'to do'}  {stage.fingerprint}"
            for stage, done in self.stages
        ]
        return "\n".join([f"run folder {self.run_folder}", *rows, "", self.forecast.as_text()])


@dataclass(frozen=True)
class Outcome:
    """What a run made."""

    run_folder: Path
    made: list[str]
    kept: list[str]
    scores: dict[str, dict[str, Any]]
    samples: list[dict[str, str]]
    model: Path | None
    report: Path | None
    source_bytes_read: int
    """Bytes of source files read to know whether they changed; 0 where size and time are those of the last run."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "run": str(self.run_folder),
            "made": self.made,
            "kept": self.kept,
            "bits_per_byte": {name: row["bits_per_byte"] for name, row in self.scores.items()},
            "samples": self.samples,
            "model": str(self.model) if self.model else None,
            "report": str(self.report) if self.report else None,
            "source_bytes_read": self.source_bytes_read,
        }

    def as_text(self) -> str:
        """For people: scores, samples, and where things are."""
        lines = [f"{len(self.made)} stages made, {len(self.kept)} kept as they were"]
        if self.scores:
            width = max(map(len, self.scores))
            lines += ["", f"{'held-out text':<{width + 2}}  bits/byte      bytes"]
            lines += [f"  {n:<{width}}  {r['bits_per_byte']:9.3f}  {r['bytes']:>9,}" for n, r in self.scores.items()]
        for sample in self.samples[:3]:
            lines += ["", f"» {sample['prompt']}{sample['text']}"]
        lines.append("")
        lines += [f"model   {self.model}"] if self.model else []
        lines += [f"report  {self.report}"] if self.report else []
        return "\n".join(lines)


def prepare(path: Path, assignments: list[str], runs: Path) -> tuple[Recipe, Path, Graph]:
    """Load and check a recipe, resolve what depends on the machine, build its graph."""
    recipe = load_recipe(path, assignments)
    recipe = recipe.model_copy(update={"compute": resolve_compute(recipe.compute)})
    base = path.resolve().parent
    run_folder = runs / recipe.name
    check_recipe(recipe, base, path)
    return recipe, run_folder, build_graph(recipe, base, run_folder)


def resolve_compute(compute: ComputeSettings) -> ComputeSettings:
    """Threads and workers as numbers, so that the kept recipe says what the run used."""
    cores = machine.cores()
    threads = compute.threads or max(1, cores // compute.processes)
    return compute.model_copy(update={"threads": threads, "workers": compute.workers or cores})


def plan_recipe(path: Path, assignments: list[str], runs: Path) -> Plan:
    """What would be made; nothing is written."""
    recipe, run_folder, graph = prepare(path, assignments, runs)
    stages = [(stage, is_done(run_folder, stage)) for stage in graph.stages]
    return Plan(recipe, run_folder, stages, forecast(recipe, path.resolve().parent, run_folder, graph))


def run_recipe(
    path: Path,
    assignments: list[str],
    runs: Path,
    *,
    until: str | None = None,
    only: str | None = None,
    quiet: bool = False,
) -> Outcome:
    """Make all stages that are not there (`until` a stage, or `only` one); then write report and outcome."""
    recipe, run_folder, graph = prepare(path, assignments, runs)
    wanted = _choose(graph, run_folder, until, only)
    with lock(run_folder):
        graph.hashes.save()
        missing = [stage for stage in wanted if not is_done(run_folder, stage)]
        if missing:
            write_text(run_folder / "recipe.yaml", dump_recipe(recipe))
            told = forecast(recipe, path.resolve().parent, run_folder, graph)
            write_json(run_folder / "forecast.json", told.as_json())
            if not quiet:
                print(told.as_text(), file=sys.stderr)
        fresh = [_told(item, quiet) for item in execute(wanted, run_folder, recipe.compute) if item.fresh]
        return _outcome(run_folder, graph, [item.stage.name for item in fresh])


def _told(item: Done, quiet: bool) -> Done:
    """Say that a stage is done, with its figures."""
    if not quiet:
        figures = ", ".join(f"{key} {_brief(value)}" for key, value in item.measured["figures"].items())
        print(f"{item.stage.name}: {item.measured['wall_seconds']:.1f} s  {figures[:160]}", file=sys.stderr)
    return item


def _choose(graph: Graph, run_folder: Path, until: str | None, only: str | None) -> list[Stage]:
    """The stages that a run is to make."""
    if until is not None and only is not None:
        raise UserError("--until and --only exclude each other", hint="--only makes one stage, --until all up to it")
    names = [stage.name for stage in graph.stages]
    for wanted in (until, only):
        if wanted is not None and wanted not in names:
            raise UserError(f"there is no stage {wanted!r} in this recipe", hint=nearest(wanted, names))
    if only is not None:
        stage = graph.stages[names.index(only)]
        for needed in stage.inputs.values():
            if not is_done(run_folder, needed):
                raise UserError(f"{only} needs {needed.name}, which is not there", hint=f"use --until {only}")
        return [stage]
    return list(graph.stages[: names.index(until) + 1 if until else None])


def _outcome(run_folder: Path, graph: Graph, made: list[str]) -> Outcome:
    """Write outcome and report of every stage that is there; say what was made."""
    from tilth.reports.page import read_evaluation, write_report

    folders = {stage.name: run_folder / stage.folder for stage in graph.stages if is_done(run_folder, stage)}
    report = run_folder / "report.html"
    outcome = {
        "stages": {name: folder.name for name, folder in folders.items()},
        "measured": {name: read_json(folder / "measured.json") for name, folder in folders.items()},
    }
    known = run_folder / "outcome.json"
    if made or not known.exists() or read_json(known) != outcome:
        write_json(known, outcome)
        write_report(run_folder)
    scores, samples = read_evaluation(folders.get("evaluate"))
    return Outcome(
        run_folder,
        made,
        [name for name in folders if name not in made],
        scores,
        samples,
        link(run_folder / "model", folders["export"]) if "export" in folders else None,
        report if report.exists() else None,
        graph.hashes.bytes_read,
    )


def link(name: Path, target: Path) -> Path:
    """Point the link `name` to the artifact `target` beside it; a name that stays while fingerprints change."""
    aside = name.with_name(f".{name.name}.link")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target.name)
    aside.replace(name)
    return name


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{k} {_brief(v)}" for k, v in value.items()) + ")"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)
