"""Several gloo processes equal one, in fp64; the real torchrun."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from safetensors.torch import load_file

from tests.training.phases import PressesControlC, phase, reader, train, write_job
from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.training import Factory, Interrupted, PhaseSettings, launch_job, parallel

ROOT = Path(__file__).parents[2]


def free_port() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def one_rank(
    rank: int, size: int, port: str, folder: str, settings: dict[str, Any], options: dict[str, Any] | None = None
) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=port
    )
    train(Path(folder), PhaseSettings.model_validate(settings), **options or {})
    parallel.leave()


def one_rank_stopped(rank: int, size: int, port: str, folder: str, settings: dict[str, Any]) -> None:
    """Rank 0 is told to stop in its third step; all save together."""
    data = PressesControlC(at=12) if rank == 0 else reader()
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=port
    )
    with pytest.raises(Interrupted):
        train(Path(folder), PhaseSettings.model_validate(settings), reader=data)
    parallel.leave()


def assert_equal_runs(one: Path, many: Path) -> None:
    pairs = list(zip(*(read_journal(folder / "metrics.jsonl") for folder in (one, many)), strict=True))
    assert pairs
    for a, b in pairs:
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-12)
        assert a["groups"] == pytest.approx(b["groups"], abs=1e-12)
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], abs=1e-10)
    x, y = load_file(one / "model.safetensors"), load_file(many / "model.safetensors")
    assert max(float((x[name] - y[name]).abs().max()) for name in x) <= 1e-10
    before, after = (json.loads((folder / "state.json").read_text()) for folder in (one, many))
    merged = [state.pop("adapter", {"largest_logit_difference": 0.0}) for state in (before, after)]
    assert all(state["largest_logit_difference"] <= 1e-12 for state in merged)
    assert before.pop("loss") == pytest.approx(after.pop("loss"), abs=1e-12)
    assert before == after


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (2, {"optimizer": {"kind": "muon", "learning_rate": 1e-3, "muon_learning_rate": 1e-3}}),
        (
            2,
            {
                "sequences": 7,
                "micro_batch": 2,
                "batch_ramp": [{"until": 300, "batch_sequences": 3}],
                "optimizer": {"kind": "adamw", "learning_rate": 1e-3},
                "z_loss": 1e-3,
            },
        ),
        (3, {"sequences": 2, "optimizer": {"kind": "adamw", "learning_rate": 1e-3}}),  # one rank has nothing to read
    ],
)
def test_ranks_equal_one_process(size: int, options: dict[str, Any], tmp_path: Path) -> None:
    settings = phase(5, **options)
    train(tmp_path / "one", settings)
    arguments = (size, free_port(), str(tmp_path / "many"), settings.canonical())
    torch.multiprocessing.spawn(one_rank, arguments, nprocs=size)
    assert_equal_runs(tmp_path / "one", tmp_path / "many")


def test_saved_by_two_ranks_and_resumed_by_one(tmp_path: Path) -> None:
    settings = phase(8, optimizer={"kind": "muon", "learning_rate": 1e-3, "muon_learning_rate": 1e-3})
    train(tmp_path / "one", settings)
    arguments = (2, free_port(), str(tmp_path / "many"), settings.canonical())
    torch.multiprocessing.spawn(one_rank_stopped, arguments, nprocs=2)
    events: list[dict[str, Any]] = []
    train(tmp_path / "many", settings, on_event=events.append)
    assert any(event["event"] == "resumed" and 0 < event["step"] < 8 for event in events)
    assert any("ranks was 2, now 1" in event.get("message", "") for event in events)
    assert_equal_runs(tmp_path / "one", tmp_path / "many")


def wait_for(condition: Callable[[], bool], seconds: float = 600) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def steps_done(folder: Path) -> int:
    return sum(1 for _ in read_journal(folder / "metrics.jsonl"))


def test_torchrun(tmp_path: Path) -> None:
    settings = phase(9)  # saves once on the way
    train(tmp_path / "one", settings)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}"]
    command += ["-m", "tilth.training.launch", str(write_job(tmp_path, "many", settings))]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    assert_equal_runs(tmp_path / "one", tmp_path / "many")


def test_launched_ranks_save_and_stop_and_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches the ranks, which save; the next launch ends as one process that was never stopped."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    settings = phase(150, compile="off")
    path, events = write_job(tmp_path, "many", settings), tmp_path / "events.jsonl"

    def press() -> None:
        wait_for(lambda: steps_done(tmp_path / "many") > 5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        launch_job(path, 2, events)
    thread.join()
    done = steps_done(tmp_path / "many")
    assert 5 < done < 150
    assert (tmp_path / "many" / "checkpoints" / f"step-{done:08d}").exists()
    launch_job(path, 2, events)
    train(tmp_path / "one", settings)
    assert_equal_runs(tmp_path / "one", tmp_path / "many")
    told = list(read_journal(events))
    assert {"event": "resumed", "step": done, "checkpoint": f"step-{done:08d}", "phase": "main"} in told
    assert sum(event["event"] == "resumed" for event in told) == 1  # of rank 0 alone


def test_a_mistake_in_a_rank_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    path = write_job(tmp_path, "many", phase(2), reader=Factory("tests.training.phases:reader", {"length": 16}))
    with pytest.raises(UserError, match="sequence_length is 32, the data is packed at 16") as error:
        launch_job(path, 2)
    assert "Traceback" not in str(error.value)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at the parent's death")
def test_ranks_die_with_the_process_that_launched_them(tmp_path: Path) -> None:
    path = write_job(tmp_path, "many", phase(100_000, compile="off"))
    code = f"from pathlib import Path; from tilth.training import launch_job; launch_job(Path({str(path)!r}), 2)"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: steps_done(tmp_path / "many") > 2)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(children) == 2
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not any(running(child) for child in children), 20)


def running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
