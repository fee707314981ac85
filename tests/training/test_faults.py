"""Every fault that can be planted is survived: the run ends as if nothing had been, or names what it left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.training.fakes import FakeReader, FakeSequence
from tests.training.phases import COMPUTE, digest, phase, train, write_job
from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.training import ComputeSettings, launch_job
from tilth.training.faults import Fault, Faults, parse_faults
from tilth.training.watchdog import HUNG

ROOT = Path(__file__).parents[2]
STEPS = 160
OPTIMIZER = {"kind": "adamw", "learning_rate": 3e-3}
SETTINGS = phase(STEPS, precision="fp32", optimizer=OPTIMIZER, schedule={"shape": "linear", "decay": 0.5})
EVERY_TEN = COMPUTE.model_copy(update={"checkpoint_steps": 10})
BAD = {(0, 17): 2, (1, 5): 0}
"""Sequences, and which of their documents is damaged."""


class Many(FakeReader):
    """Enough sequences for one epoch; some documents are noise, if asked for."""

    def __init__(self, bad: dict[tuple[int, int], int] | None = None) -> None:
        super().__init__(sizes=(1200, 600))
        self.bad = bad or {}

    def read(self, group: int, index: int) -> FakeSequence:
        found = super().read(group, index)
        found.documents[:] = np.arange(len(found.lengths)) + 100 * (1200 * group + index)
        if (group, index) in self.bad:
            found.targets[:] = 0
            found.inputs[:] = np.arange(32) * 7 % 64
        return found

    def document_id(self, row: int) -> str:
        return f"doc-{row}"


def with_faults(text: str, **more: Any) -> ComputeSettings:
    return ComputeSettings.model_validate(EVERY_TEN.canonical() | {"faults": text} | more)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    train(folder, SETTINGS, compute=EVERY_TEN, reader=Many())
    assert not list(read_journal(folder / "decisions.jsonl"))
    return folder


def last_loss(folder: Path) -> float:
    losses = [record["loss"] for record in read_journal(folder / "metrics.jsonl")]
    return float(np.mean(losses[-10:]))


def decided(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [record for record in read_journal(folder / "decisions.jsonl") if record["decision"] == kind]


def test_a_list_of_faults_is_read_and_mistakes_have_a_line() -> None:
    assert parse_faults("kill@120:rank1, nan@50\nfull@70") == (
        Fault("kill", 120, 1),
        Fault("nan", 50),
        Fault("full", 70),
    )
    for text, said in (
        ("nan50", "expected KIND@STEP"),
        ("nan@5,\nkil@3", "line 2: there is no fault 'kil' .did you mean 'kill'"),
        ("nan@0", "counted from 1"),
    ):
        with pytest.raises(ValueError, match=said):
            parse_faults(text)


def test_a_fault_strikes_once_in_the_life_of_a_folder(tmp_path: Path) -> None:
    faults = Faults(tmp_path, 1, "nan@5:rank1, full@7, kill@3:rank0")
    assert [faults.strikes("nan", step) for step in (4, 5, 5)] == [False, True, False]
    assert not faults.strikes("kill", 3)
    again = Faults(tmp_path, 1, "nan@5:rank1, full@7")
    assert not again.strikes("nan", 5)
    assert again.strikes("full", 10), "the first checkpoint from that step on"


def test_the_environment_gives_faults_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTH_FAULTS", "nan@x")
    with pytest.raises(UserError, match="TILTH_FAULTS: expected KIND@STEP"):
        Faults(tmp_path, 0, None)


def test_a_planted_nan_is_skipped(clean: Path, tmp_path: Path) -> None:
    train(tmp_path, SETTINGS, compute=with_faults("nan@100"), reader=Many())
    (skip,) = decided(tmp_path, "skip_update")
    assert skip["step"] == 100
    assert last_loss(tmp_path) == pytest.approx(last_loss(clean), rel=5e-3)


def test_a_spike_is_gone_back_from_once(clean: Path, tmp_path: Path) -> None:
    train(tmp_path, SETTINGS, compute=with_faults("spike@100"), reader=Many())
    (rewind,) = decided(tmp_path, "rewind")
    assert rewind["to"] < 100 < rewind["step"] < 125
    assert 8 <= rewind["skip"][1] - rewind["skip"][0] <= 8 * 24
    assert rewind["suspects"][0]["id"].startswith("doc-")
    assert [r["step"] for r in read_journal(tmp_path / "metrics.jsonl")] == list(range(1, STEPS + 1))
    assert last_loss(tmp_path) == pytest.approx(last_loss(clean), rel=5e-3)


def test_bad_documents_are_not_learnt_from_and_are_named(clean: Path, tmp_path: Path) -> None:
    train(tmp_path, SETTINGS, compute=EVERY_TEN, reader=Many(BAD))
    named = {tuple(skip["suspects"][0]["sequence"]) for skip in decided(tmp_path, "skip_update")}
    seen_late = {("group_0", 17), ("group_1", 5)} & {
        tuple(sequence) for skip in decided(tmp_path, "skip_update") for sequence in skip["sequences"]
    }
    assert named == seen_late
    assert len(decided(tmp_path, "rewind")) == 0
    assert last_loss(tmp_path) == pytest.approx(last_loss(clean), rel=5e-3)


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(clean: Path, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    train(tmp_path, SETTINGS, compute=with_faults("full@70"), reader=Many(), on_event=events.append)
    saved = [event["step"] for event in events if event["event"] == "checkpoint"]
    assert 70 not in saved
    assert {60, 80} <= set(saved)
    assert any("the disk is full: the checkpoint of step 70" in event.get("message", "") for event in events)
    assert digest(tmp_path) == digest(clean)


def test_a_corrupt_checkpoint_is_passed_over(clean: Path, tmp_path: Path) -> None:
    """Spoiled at 100, killed at 106: it goes on from 90, to the bit. A thread might not have written 100 by then."""
    path = write_small_job(tmp_path, "corrupt@100, kill@106", checkpoint_async="off")
    assert run(path).returncode == -9
    told = run(path)
    assert told.returncode == 0, told.stderr
    assert "step-00000100 is not whole" in told.stderr
    assert digest(tmp_path / "job") == digest(clean)


def write_small_job(folder: Path, faults: str, **more: Any) -> Path:
    from tilth.training import Factory

    reader = Factory("tests.training.test_faults:Many")
    return write_job(folder, "job", SETTINGS, compute=with_faults(faults, **more), reader=reader)


def run(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tilth.training.launch", str(path)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_a_hang_ends_with_all_stacks_and_goes_on(clean: Path, tmp_path: Path) -> None:
    path = write_small_job(tmp_path, "hang@90", step_limit=2.0)
    told = run(path)
    assert told.returncode == HUNG
    assert "step 90 has taken" in told.stderr
    assert "in _strike" in told.stderr
    assert run(path).returncode == 0
    assert digest(tmp_path / "job") == digest(clean)


def test_the_launcher_starts_ranks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One rank killed, one hung: two restarts, and the run of two ranks that nothing happened to."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    for name, faults in (("whole", ""), ("job", "kill@45:rank1, hang@90:rank0")):
        (tmp_path / name).mkdir()
        path = write_small_job(tmp_path / name, faults, step_limit=3.0)
        launch_job(path, 2, tmp_path / name / "events.jsonl", restarts=2)
    events = list(read_journal(tmp_path / "job" / "events.jsonl"))
    assert sum(event["event"] == "restart" for event in events) == 2
    assert any(event["event"] == "hung" and event["rank"] == 0 for event in events)
    assert digest(tmp_path / "job" / "job") == digest(tmp_path / "whole" / "job")


def test_a_rewind_is_followed_by_a_run_that_is_killed_behind_it(tmp_path: Path) -> None:
    """Killed right behind the rewind, the spike does not strike again: what was decided is followed."""
    path = write_small_job(tmp_path, "spike@100")
    assert run(path).returncode == 0
    killed = tmp_path / "killed"
    killed.mkdir()
    at = decided(tmp_path / "job", "rewind")[0]["to"] + 2
    path = write_small_job(killed, f"spike@100, kill@{at + 60}")
    statuses = [run(path).returncode, run(path).returncode]
    assert statuses == [-9, 0]
    assert digest(killed / "job") == digest(tmp_path / "job")


def test_faults_of_a_recipe_have_a_line(tmp_path: Path) -> None:
    from tilth.base.settings import load_yaml, validate

    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"threads": 1, "faults": "nan@"}), encoding="utf-8")
    data, lines = load_yaml(path)
    with pytest.raises(UserError, match=r"c.yaml:1: .*faults.*expected KIND@STEP"):
        validate(ComputeSettings, data, source=str(path), lines=lines)
