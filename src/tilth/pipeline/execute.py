"""Runs a graph of stages in a run folder: what is there is kept, what was cut off goes on, the rest is made."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.errors import Unfinished, UserError
from tilth.base.events import Journal
from tilth.base.files import (
    artifact_fault,
    clear_leftovers,
    digest_file,
    list_files,
    make_folder,
    publish_folder,
    read_json,
    remove,
    write_json,
)
from tilth.pipeline.recipe import ComputeSettings
from tilth.pipeline.stage import Context, Stage


@dataclass(frozen=True)
class Done:
    """A stage that is there: its folder, whether it was made just now, and its figures."""

    stage: Stage
    folder: Path
    fresh: bool
    measured: dict[str, Any]


def is_done(run_folder: Path, stage: Stage) -> bool:
    """Whether the stage's artifact is there and whole."""
    return artifact_fault(run_folder / stage.folder) is None


def execute(stages: Sequence[Stage], run_folder: Path, compute: ComputeSettings) -> Iterator[Done]:
    """Make every stage that is not there, in order; yields each one as it is done. Call it inside `lock`.

    The journal names those that are there already, too: what it names last is what the last run came to.
    """
    events = Journal(run_folder / "events.jsonl")
    trusted: set[str] = set()
    """Artifacts that were made or checked by this call."""
    try:
        for stage in stages:
            if is_done(run_folder, stage):
                final = run_folder / stage.folder
                _clear(_aside(run_folder, stage))  # left by a kill between the artifact's place and this removal
                events.append({"time": time.time(), "event": "kept", "stage": stage.folder})
                yield Done(stage, final, False, read_json(final / "measured.json"))
                continue
            _check_inputs(stage, run_folder, trusted)
            yield _make(stage, run_folder, compute, events)
            trusted.add(stage.folder)
    finally:
        events.close()


def _check_inputs(stage: Stage, run_folder: Path, trusted: set[str]) -> None:
    """Refuse to build on an artifact whose bytes are not those that were made."""
    for needed in stage.inputs.values():
        if needed.folder in trusted:
            continue
        folder = run_folder / needed.folder
        for name, digest in read_json(folder / "artifact.json")["files"].items():
            if digest_file(folder / name) != digest:
                raise UserError(
                    "the file is not as it was made: something has changed it",
                    where=str(folder / name),
                    hint=f"remove the folder {folder} and run again",
                )
        trusted.add(needed.folder)


def _aside(run_folder: Path, stage: Stage) -> Path:
    """Where a stage's artifact is made, with its intermediate files, until it is complete."""
    return run_folder / ".work" / stage.folder


def _clear(aside: Path) -> None:
    """Remove what a stage was made in, and the folder of such folders with the last of them."""
    remove(aside)
    with contextlib.suppress(OSError):
        aside.parent.rmdir()


def _make(stage: Stage, run_folder: Path, compute: ComputeSettings, events: Journal) -> Done:
    final = run_folder / stage.folder
    if final.exists():
        print(f"warning: {final} is damaged ({artifact_fault(final)}); it is made anew", file=sys.stderr)
        remove(final)
    aside = _aside(run_folder, stage)
    out, work = aside / "out", aside / "work"
    resumed = aside.exists()
    for folder in (out, work):
        folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
    inputs = {name: run_folder / needed.folder for name, needed in stage.inputs.items()}
    events.append({"time": time.time(), "event": "start", "stage": stage.folder, "resumed": resumed})
    meter = machine.Meter()
    try:
        figures = stage.body(Context(out, work, inputs, compute, events, run_folder))
    except UserError as error:
        # A refused training may hold hours of work, which go on with other settings.
        if not stage.needs_torch and not isinstance(error, Unfinished):
            _clear(aside)
        raise
    machine.release_memory()
    used = meter.read()
    measured = {**used, "figures": figures, "resumed": resumed, "machine": machine.describe()}
    write_json(out / "measured.json", measured)
    names = [name for name in list_files(out) if name != "artifact.json"]
    unhashed = {"measured.json", *stage.measured}
    description = {
        "files": {name: digest_file(out / name) for name in names if name not in unhashed},
        "bytes": {name: (out / name).stat().st_size for name in names},
    }
    write_json(out / "artifact.json", {**stage.identity, "fingerprint": stage.fingerprint, **description})
    publish_folder(out, final)
    _clear(aside)
    events.append({"time": time.time(), "event": "done", "stage": stage.folder, **used})
    return Done(stage, final, True, measured)


@contextlib.contextmanager
def lock(run_folder: Path) -> Iterator[None]:
    """Keep a second process out of the run folder; the lock falls with the process that holds it.

    A folder that was made for a run which is refused before anything is finished goes with it.
    """
    made = [folder for folder in (run_folder, *run_folder.parents) if not folder.exists()]
    make_folder(run_folder)
    handle = os.open(run_folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy = "another process is working in this run"
            raise UserError(busy, where=str(run_folder), hint="wait for it") from None
        try:
            yield
        except UserError as error:
            if made and not isinstance(error, Unfinished) and not any(run_folder.glob("*/artifact.json")):
                _unmake(made)
            raise
    finally:
        os.close(handle)


def _unmake(made: Sequence[Path]) -> None:
    """Remove the first of these folders, and those around it that hold nothing else."""
    remove(made[0])
    with contextlib.suppress(OSError):
        for folder in made[1:]:
            folder.rmdir()
