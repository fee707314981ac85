"""Killed = not killed; torn checkpoints; signals; what changes the bits is said."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.phases import COMPUTE, PressesControlC, digest, phase, train
from tests.training.resuming import SETTINGS
from tilth.base.errors import UserError
from tilth.base.events import Journal, read_journal
from tilth.base.files import digest_file, write_json
from tilth.training import Interrupted, device
from tilth.training.checkpoint import find_fault
from tilth.training.finished import digest_start, is_finished
from tilth.training.folder import FINAL_FILES

ROOT = Path(__file__).parents[2]
EVERY_FIVE = COMPUTE.model_copy(update={"checkpoint_steps": 5})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phase, never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train(folder, SETTINGS, compute=EVERY_FIVE)
    return folder


def begin(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.training.resuming", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[bytes]) -> None:
    """Until the journal of metrics has `step` lines, or the process has ended."""
    metrics = folder / "metrics.jsonl"
    while process.poll() is None and (not metrics.exists() or metrics.read_bytes().count(b"\n") < step):
        time.sleep(0.001)


def test_killed_equals_not_killed(whole: Path, tmp_path: Path) -> None:
    """SIGKILL at random instants, some inside a save; weights, optimizer, metrics and decisions to the bit."""
    rng = random.Random(0)
    folder = tmp_path
    for _ in range(3):
        process = begin(folder)
        done = sum(1 for _ in read_journal(folder / "metrics.jsonl"))
        wait_for_step(folder, min(38, done + rng.randrange(3, 10)), process)
        time.sleep(rng.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not is_finished(folder)
    train(folder, SETTINGS, compute=EVERY_FIVE)
    assert digest(folder) == digest(whole)
    assert not (folder / "checkpoints").exists()


def test_sigterm_saves_and_stops(whole: Path, tmp_path: Path) -> None:
    process = begin(tmp_path)
    wait_for_step(tmp_path, 7, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    newest = sorted((tmp_path / "checkpoints").glob("step-*"))[-1]
    assert newest.name == f"step-{sum(1 for _ in read_journal(tmp_path / 'metrics.jsonl')):08d}"
    train(tmp_path, SETTINGS, compute=EVERY_FIVE)
    assert digest(tmp_path) == digest(whole)


def test_control_c_saves_and_stops(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as stopped:
        train(tmp_path, SETTINGS, compute=EVERY_FIVE, reader=PressesControlC(at=100))
    assert stopped.value.signal_number == signal.SIGINT
    assert find_fault(stopped.value.saved) is None
    train(tmp_path, SETTINGS, compute=EVERY_FIVE)
    assert digest(tmp_path) == digest(whole)


def test_other_weights_to_start_from_are_refused(tmp_path: Path) -> None:
    """Only they differ: not their folder's name, nor any setting; a fresh start does not ask for the optimizer."""
    base, other, folder = tmp_path / "base", tmp_path / "other", tmp_path / "phase"
    for start, seed in ((base, 1), (other, 2)):
        train(start, phase(2), seed=seed)
    told = {"start": base, "fresh": True, "on_event": stop_at(4)}
    with pytest.raises(Stop):
        train(folder, **told)
    shutil.copy(other / "optimizer.safetensors", base)
    with pytest.raises(Stop):
        train(folder, **told | {"on_event": stop_at(8)})
    shutil.copy(other / "model.safetensors", base)
    with pytest.raises(UserError, match="weights to start from"):
        train(folder, **told)


def test_hashes_that_an_artifact_says_are_taken_while_they_are_true(tmp_path: Path) -> None:
    train(tmp_path, phase(1))
    hashed = digest_start(tmp_path, fresh=False)
    write_json(tmp_path / "artifact.json", {"files": {name: digest_file(tmp_path / name) for name in FINAL_FILES}})
    assert digest_start(tmp_path, fresh=False) == hashed != digest_start(tmp_path, fresh=True)
    write_json(tmp_path / "artifact.json", {"files": {"model.safetensors": "as said"}})
    assert digest_start(tmp_path, fresh=False) != hashed
    os.utime(tmp_path / "model.safetensors", (2**31, 2**31))
    assert digest_start(tmp_path, fresh=False) == hashed


class Stop(Exception):
    """Ends a phase from outside."""


def stop_at(step: int) -> Any:
    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint" and event["step"] == step:
            raise Stop

    return on_event


def stopped(folder: Path, step: int = 8, **options: Any) -> list[Path]:
    with pytest.raises(Stop):
        train(folder, on_event=stop_at(step), **options)
    return sorted((folder / "checkpoints").glob("step-*"))


@pytest.mark.parametrize("damage", ["cut", "flip", "missing", "no manifest", "bad manifest"])
def test_a_torn_checkpoint_is_never_used(damage: str, tmp_path: Path) -> None:
    train(tmp_path / "whole")
    folder = tmp_path / "torn"
    older, newer = stopped(folder)
    (victim,) = (newer / "tensors").glob("*.distcp")
    if damage == "cut":
        os.truncate(victim, victim.stat().st_size // 2)
    elif damage == "flip":
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    elif damage == "missing":
        victim.unlink()
    elif damage == "no manifest":
        (newer / "manifest.json").unlink()
    else:
        (newer / "manifest.json").write_text('{"step": 8, "fil')
    assert find_fault(newer)
    assert find_fault(older) is None
    events: list[dict[str, Any]] = []
    train(folder, on_event=events.append)
    messages = [event["message"] for event in events if event["event"] == "warning"]
    assert any("step-00000008 is not whole" in message for message in messages)
    assert any(event["event"] == "resumed" and event["step"] == 4 for event in events)
    assert digest(folder) == digest(tmp_path / "whole")


def test_an_unfinished_save_is_ignored(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    folder = tmp_path / "torn"
    newest = stopped(folder)[-1]
    newest.rename(newest.with_name(f".{newest.name}.tmp"))
    train(folder)
    assert digest(folder) == digest(tmp_path / "whole")


def test_only_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    compute = COMPUTE.model_copy(update={"checkpoint_steps": 2, "checkpoint_keep": 3})
    assert [path.name for path in stopped(tmp_path, 8, compute=compute)] == [f"step-{n:08d}" for n in (4, 6, 8)]


def test_other_conditions_are_warned_of(tmp_path: Path) -> None:
    stopped(tmp_path)
    events: list[dict[str, Any]] = []
    train(tmp_path, on_event=events.append, compute=COMPUTE.model_copy(update={"threads": 2}))
    assert any("threads was 1, now 2" in event.get("message", "") for event in events)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    stopped(tmp_path)
    with pytest.raises(UserError, match="belongs to other settings"):
        train(tmp_path, phase(11))


def test_a_checkpoint_goes_on_when_only_a_permission_changed(whole: Path, tmp_path: Path) -> None:
    """`max_epochs` is in no fingerprint, so it must neither bar a resume nor change a byte."""
    with pytest.raises(Interrupted):
        train(tmp_path, SETTINGS, compute=EVERY_FIVE, reader=PressesControlC(at=100))
    train(tmp_path, SETTINGS.model_copy(update={"max_epochs": 99.0}), compute=EVERY_FIVE)
    assert digest(tmp_path) == digest(whole)


def test_journals_are_on_the_disk_before_a_checkpoint_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync = Journal.sync
    monkeypatch.setattr(Journal, "sync", lambda self: (order.append(self.path.stem), sync(self)))
    train(tmp_path, phase(6), on_event=lambda event: order.append(event["event"]))
    assert order == ["metrics", "decisions", "timings", "checkpoint"]


def test_ranks_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.machine, "cores", lambda: 8)
    monkeypatch.setattr(device.torch, "set_num_threads", lambda threads: None)
    cpu, found = device.choose("cpu"), []
    for ranks in ("1", "3", "99"):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        found.append(device.prepare(COMPUTE.model_copy(update={"threads": None}), cpu))
    assert [*found, device.prepare(COMPUTE, cpu)] == [8, 2, 1, 1]


def test_no_byte_of_a_manifest_that_changes_ends_the_run(tmp_path: Path) -> None:
    """Whatever a disk makes of it: the checkpoint is used, or passed over with a reason."""
    (tmp_path / "state.json").write_text("{}")
    facts = {"bytes": 2, "sha256": digest_file(tmp_path / "state.json")}
    path, faults = tmp_path / "manifest.json", set[str]()
    assert find_fault(tmp_path) == "no manifest"
    write_json(path, {"step": 5, "conditions": {"threads": 1}, "files": {"state.json": facts}})
    assert find_fault(tmp_path) is None
    written = path.read_bytes()
    for place in range(len(written)):
        for bit in (0, 3, 5, 7):
            changed = bytearray(written)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            faults.add(str(find_fault(tmp_path)))
    assert {"its manifest cannot be read", "state.json has changed"} <= faults
    for text in ("", "{}", "[]", '{"files": 3}', '{"files": {"state.json": null}}'):
        path.write_text(text)
        assert find_fault(tmp_path) == "its manifest cannot be read"
