"""Runs a graph of stages in a run folder: what is there is kept, what was cut off goes on, the rest is made."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.errors import UserError
from tilth.base.events import Journal
from tilth.base.files import clear_leftovers, digest_file, list_files, publish_folder, read_json, remove, write_json
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
    """Whether the stage's artifact is complete (a folder is renamed into place only when it is)."""
    return (run_folder / stage.folder / "artifact.json").exists()


def execute(stages: Sequence[Stage], run_folder: Path, compute: ComputeSettings) -> Iterator[Done]:
    """Make every stage that is not there, in order; yields each one as it is done. Call it inside `lock`."""
    events = Journal(run_folder / "events.jsonl")
    try:
        for stage in stages:
            yield _make(stage, run_folder, compute, events)
    finally:
        events.close()


def _make(stage: Stage, run_folder: Path, compute: ComputeSettings, events: Journal) -> Done:
    final = run_folder / stage.folder
    if is_done(run_folder, stage):
        return Done(stage, final, False, read_json(final / "measured.json"))
    aside = run_folder / ".work" / stage.folder
    out, work = aside / "out", aside / "work"
    resumed = aside.exists()
    for folder in (out, work):
        folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
    inputs = {name: run_folder / needed.folder for name, needed in stage.inputs.items()}
    events.append({"time": time.time(), "event": "start", "stage": stage.folder, "resumed": resumed})
    meter = machine.Meter()
    figures = stage.body(Context(out, work, inputs, compute, events, run_folder))
    machine.release_memory()
    used = meter.read()
    measured = {**used, "figures": figures, "resumed": resumed, "machine": machine.describe()}
    unhashed = {"measured.json", "artifact.json", *stage.measured}
    files = {name: digest_file(out / name) for name in list_files(out) if name not in unhashed}
    write_json(out / "measured.json", measured)
    write_json(out / "artifact.json", {**stage.identity, "fingerprint": stage.fingerprint, "files": files})
    publish_folder(out, final)
    remove(aside)
    events.append({"time": time.time(), "event": "done", "stage": stage.folder, **used})
    return Done(stage, final, True, measured)


@contextlib.contextmanager
def lock(run_folder: Path) -> Iterator[None]:
    """Keep a second process out of the run folder; the lock falls with the process that holds it."""
    run_folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(run_folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy = "another process is working in this run"
            raise UserError(busy, where=str(run_folder), hint="wait for it") from None
        yield
    finally:
        os.close(handle)
