"""Killed at any instant, also while saving, also with a torn checkpoint: the same bits as never killed."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.phases import COMPUTE, digest, train
from tests.training.resuming import SETTINGS
from tilth.training.finished import is_finished

EVERY_TWO = COMPUTE.model_copy(update={"checkpoint_steps": 2})


def run(folder: str) -> None:
    train(Path(folder), SETTINGS, compute=EVERY_TWO)


def processes() -> Any:
    """Processes that begin with torch loaded: forks of a server that has done nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.test_killed", "torch.distributed.checkpoint"])
    return context


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the phase that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    process = processes().Process(target=run, args=(str(folder),))
    process.start()
    process.join()
    return digest(folder)


def tear(folder: Path, rng: random.Random) -> None:
    """Cut a file of the newest checkpoint short."""
    saved = sorted((folder / "checkpoints").glob("step-*"))
    if saved:
        victim = rng.choice(sorted(path for path in saved[-1].rglob("*") if path.is_file()))
        os.truncate(victim, victim.stat().st_size // 2)


def steps_done(folder: Path) -> int:
    try:
        return (folder / "metrics.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def kill_and_go_on(folder: Path, rng: random.Random) -> int:
    """Kill twice, some milliseconds behind a random step, tear a checkpoint now and then, run to the end; the kills."""
    kills = 0
    for _ in range(2):
        process = processes().Process(target=run, args=(str(folder),))
        process.start()
        last = rng.randrange(SETTINGS.steps)
        while process.is_alive() and steps_done(folder) < last:
            time.sleep(0.002)
        process.join(rng.random() * 0.05)
        kills += process.is_alive()
        process.kill()
        process.join()
        if rng.random() < 0.5:
            tear(folder, rng)
    process = processes().Process(target=run, args=(str(folder),))
    process.start()
    process.join()
    assert process.exitcode == 0
    return kills


def prove(trials: int, whole: str, folder: Path) -> None:
    rng, kills = random.Random(trials), 0
    for trial in range(trials):
        kills += kill_and_go_on(folder / str(trial), rng)
        assert is_finished(folder / str(trial))
        assert digest(folder / str(trial)) == whole, f"trial {trial}"
        shutil.rmtree(folder / str(trial))
    assert kills >= trials


def test_killed_at_random_instants_ten_of_ten(whole: str, tmp_path: Path) -> None:
    prove(10, whole, tmp_path)


@pytest.mark.slow
def test_killed_at_random_instants_a_hundred_of_a_hundred(whole: str, tmp_path: Path) -> None:
    prove(100, whole, tmp_path)
