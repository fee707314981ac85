"""A node or a process that fails twice is left out, and the run goes on with the others to the same end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch.multiprocessing

from tests.training.phases import COMPUTE, phase, train, write_job
from tests.training.test_ranks import ROOT, assert_equal_runs, free_port
from tilth.base.events import read_journal
from tilth.training import launch_job, parallel
from tilth.training.nodes import Node, NodesChanged
from tilth.training.watchdog import waited, waits_for_others

SETTINGS = phase(12, compile="off", optimizer={"kind": "adamw", "learning_rate": 1e-3})
FAULTS = {"checkpoint_steps": 3, "checkpoint_async": "off", "faults": "kill@5:rank1, kill@8:rank1"}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    train(tmp_path / "one", SETTINGS)
    return write_job(tmp_path, "many", SETTINGS, compute=COMPUTE.model_copy(update=FAULTS))


@pytest.mark.slow
def test_a_node_that_fails_twice_leaves_torchrun_to_the_others(job: Path, tmp_path: Path) -> None:
    """Two agents of torchrun, each with a process; the second's is killed twice, and its agent ends by SIGTERM."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1:2", "--nproc_per_node=1", "--max-restarts=4"]
    command += ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}", "--rdzv-id=trial"]
    what = ["-m", "tilth.training.launch", str(job), str(tmp_path / "events")]
    agents = []
    for host in ("true", "false"):  # the first one's process identifier is lower, and so is its rank
        given = [*command, f"--rdzv-conf=last_call_timeout=3,is_host={host}", *what]
        agents.append(subprocess.Popen(given, cwd=ROOT, stderr=subprocess.PIPE, text=True))
    try:
        said = [agent.communicate(timeout=300)[1] for agent in agents]
    finally:
        for agent in agents:
            agent.terminate()
    assert agents[0].returncode == 0, said[0]
    assert agents[1].returncode != 0
    assert "has failed 2 times: it leaves the run to the other nodes" in said[1]
    assert_equal_runs(tmp_path / "one", tmp_path / "many")
    (left,) = (event for event in read_journal(tmp_path / "events") if event["event"] == "left_out")
    (node,) = left["nodes"]
    assert node.endswith(f":{agents[1].pid}")
    resumed = [event["step"] for event in read_journal(tmp_path / "events") if event["event"] == "resumed"]
    assert resumed == [3, 6], "killed in step 5, killed in step 8"


def test_a_process_that_fails_twice_is_left_out_by_the_launcher(job: Path, tmp_path: Path) -> None:
    launch_job(job, 2, tmp_path / "events", restarts=2)
    assert_equal_runs(tmp_path / "one", tmp_path / "many")
    messages = [event["message"] for event in read_journal(tmp_path / "events") if event["event"] == "restart"]
    assert len(messages) == 2
    assert "without process" not in messages[0]
    assert "without process 1, which has failed twice" in messages[1]


def test_who_is_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Node.here(tmp_path) is None
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "4")
    node = Node.here(tmp_path)
    assert node is not None
    assert node.failures == 2
    told: list[dict[str, Any]] = []
    node.check(lambda mine: [mine, ("other", 3)], told.append)
    assert not told, "all have failed: nobody is left to go on"
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    node.check(lambda mine: [mine, ("other", 1)], told.append)
    with pytest.raises(NodesChanged, match="other failed twice"):
        node.check(lambda mine: [mine, ("other", 2)], told.append)
    assert [event["nodes"] for event in told] == [["other"]]
    assert node.failures == 0, "that it ends for another's sake is excused"


def test_only_a_lost_neighbour_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tilth.training.nodes.time.sleep", slept.append)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    node = Node("here", tmp_path / "nodes.jsonl")
    node.wait(RuntimeError("CUDA out of memory"))
    assert (slept, node.failures) == ([], 1)
    node.wait(RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:3311"))
    assert (len(slept), node.failures) == (1, 0)
    for own in ("[gloo/transport/tcp/device.cc:84] No route to host", "NCCL error: unhandled system error, ibv_reg_mr"):
        node.wait(RuntimeError(own))
    assert (len(slept), node.failures) == (1, 0), "this node's own network"
    assert os.environ["TORCHELASTIC_RESTART_COUNT"] == "1"


def test_who_hung_for_another_is_excused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    one, two, three = (Node(name, tmp_path / "nodes.jsonl") for name in ("one", "two", "three"))
    for node, waiting in ((one, False), (two, True), (two, True), (three, True)):  # two has two processes
        node.note_hang("first", 90, waiting)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert [node.failures for node in (one, two, three)] == [1, 0, 0]
    for node, step in ((one, 95), (two, 96)):  # on GPUs: nobody is seen waiting, and one has begun the next step
        node.note_hang("second", step, False)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert [node.failures for node in (one, two, three)] == [1, 0, 1]
    assert not waits_for_others()


def test_who_hangs_where_another_has_hung_before_is_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is trained again from the checkpoint, and another hangs in it."""
    one, two = (Node(name, tmp_path / "nodes.jsonl") for name in ("one", "two"))
    for start, together, cause in (("0", "first", one), ("1", "second", two), ("2", "third", one)):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", start)
        for node in (one, two):
            node.note_hang(together, 90, node is not cause)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "3")
    assert [node.failures for node in (one, two)] == [2, 1]


def stand_still(rank: int, port: str, folder: str, how: str) -> None:
    """Rank 0 waits for rank 1 in a collective call, while rank 1 does something else for too long."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update(where, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    world = parallel.join("cpu")
    world.barrier()
    found: list[bool] = []
    threading.Timer(1.0, lambda: found.append(waits_for_others())).start()
    if rank == 1:
        time.sleep(2.0)
    if how == "asynchronous":
        waited(torch.distributed.all_reduce(torch.zeros(1), async_op=True))
    elif how == "in a thread":  # as in a backward pass on a GPU
        work = torch.distributed.all_reduce(torch.zeros(1), async_op=True)
        thread = threading.Thread(target=waited, args=(work,))
        thread.start()
        thread.join()
    else:
        world.any(True)
    (Path(folder) / str(rank)).write_text(str(found))
    parallel.leave()


@pytest.mark.parametrize("how", ["synchronous", "asynchronous", "in a thread"])
def test_a_process_that_waits_for_others_is_told_from_one_that_does_not(tmp_path: Path, how: str) -> None:
    torch.multiprocessing.spawn(stand_still, (free_port(), str(tmp_path), how), nprocs=2)
    assert [(tmp_path / name).read_text() for name in ("0", "1")] == ["[True]", "[False]"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a backward pass has threads of its own on a GPU alone")
def test_who_waits_in_a_backward_pass_on_a_gpu_is_seen() -> None:
    class Work:
        def wait(self) -> None:
            seen.append((waits_for_others(), threading.current_thread() is threading.main_thread()))

    seen: list[tuple[bool, bool]] = []
    x = torch.ones(2, device="cuda", requires_grad=True)
    y = 2 * x
    y.register_hook(lambda _: waited(Work()))
    y.sum().backward()
    assert seen == [(True, False)]
    assert not waits_for_others()
