"""One phase in several processes: the job as a file, run by every rank.

`launch_job` starts the ranks of one machine; torchrun may start them too, also on several machines:

    torchrun --nproc_per_node=2 -m tilth.training.launch JOB.json

Ranks that die or hang are started again from the last checkpoint; who does so twice is left out (here, and in nodes).

The job's reader is a factory, and its objective where it is not the next token, so that each process builds its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tilth.base import files
from tilth.base.errors import UserError
from tilth.base.events import Journal
from tilth.base.progress import Progress
from tilth.training import parallel
from tilth.training.interruption import Interrupted
from tilth.training.job import Job
from tilth.training.loop import PhaseResult, train_phase
from tilth.training.nodes import MOST_FAILURES, Node, NodesChanged, fresh_store
from tilth.training.watchdog import HUNG

LAUNCHER = "TILTH_LAUNCHER"
"""Environment: the process that started this rank, and with which it ends."""
GRACE_SECONDS = 30.0
"""How long the others may go on when a rank has failed,"""
GONE_SECONDS = 2.0
"""and when it was killed or has hung: they wait for it in vain."""
DEAD = (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, HUNG)
"""Statuses of a rank that can no longer talk to the others."""


def run_job(path: Path, on_event: Callable[[dict[str, Any]], None] | None = None) -> PhaseResult:
    """Train the phase of the job in this file as one of the ranks that were started, or alone."""
    job = Job.load(path)
    node = Node.here(job.folder)
    world = parallel.join(job.compute.device, None if node is None else fresh_store())
    Progress.quiet = Progress.quiet or not world.first
    if node is None:
        return train_phase(job, on_event, world)
    try:
        node.check(world.gathered, on_event if on_event is not None and world.first else _nothing)
        return train_phase(job, on_event, world)
    except (RuntimeError, ConnectionError) as error:
        if not isinstance(error, NodesChanged):
            node.wait(error)
        raise


def _nothing(_: dict[str, Any]) -> None:
    """Nobody listens."""


def launch_job(path: Path, processes: int, events: Path | None = None, restarts: int = 0) -> None:
    """Run the job in `processes` ranks of this machine, to their end; they write events to the journal `events`.

    Ctrl-C and SIGTERM are passed on to the ranks, which save and stop: KeyboardInterrupt. A rank's UserError is raised
    here. When a rank dies or hangs, the others are ended, and all are started again, `restarts` times at most; one that
    alone was to blame twice is left out, and its device with it. The ranks die with this process.
    """
    slots, blamed = list(range(processes)), Counter[int]()
    for left in range(restarts, -1, -1):
        try:
            _launch(path, slots, events)
            return
        except RanksFailed as failed:
            if not left:
                raise
            message = f"{failed}; starting them again from the last checkpoint ({left} restarts left)"
            blamed.update(failed.dead)
            for slot in [slot for slot in failed.dead if blamed[slot] >= MOST_FAILURES and len(slots) > 1]:
                slots.remove(slot)
                message += f", without process {slot}, which has failed twice"
            sys.stderr.write(f"warning: {message}\n")
            if events is not None:
                journal = Journal(events)
                journal.append({"event": "restart", "message": message, "left": left - 1})
                journal.close()


class RanksFailed(RuntimeError):
    """Ranks died, or ended with an error that is not the user's."""

    def __init__(self, message: str, dead: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.dead = dead
        """Those that died or hung, where not all did."""


def _launch(path: Path, slots: Sequence[int], events: Path | None) -> None:
    """Run a rank for each slot, once; the slot is its device."""
    from torch.distributed import TCPStore

    for left in path.parent.glob(f"{path.stem}.error*"):
        left.unlink()
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # where the ranks find each other
    environment = os.environ | {
        LAUNCHER: str(os.getpid()),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "WORLD_SIZE": str(len(slots)),
        "LOCAL_WORLD_SIZE": str(len(slots)),
    }
    command = [sys.executable, "-m", "tilth.training.launch", str(path), *([str(events)] if events else [])]
    ranks: list[subprocess.Popen[bytes]] = []
    try:
        with _passing_on_signals(ranks) as received:
            for rank, slot in enumerate(slots):  # in a session of their own: Ctrl-C comes through this process, once
                whose = environment | {"RANK": str(rank), "LOCAL_RANK": str(slot)}
                ranks.append(subprocess.Popen(command, env=whose, start_new_session=True))
            _wait(ranks)
            ended = [rank.poll() for rank in ranks]
    finally:
        _kill(ranks)
    dead = [slot for slot, status in zip(slots, ended, strict=True) if status in DEAD]
    _judge(path, [rank.returncode for rank in ranks], received, dead if len(dead) == 1 < len(slots) else [])


@contextlib.contextmanager
def _passing_on_signals(ranks: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """While inside, Ctrl-C and SIGTERM go to the ranks; yields the list of what came."""
    received: list[int] = []

    def pass_on(number: int, _: object) -> None:
        received.append(number)
        for rank in ranks:
            rank.send_signal(number)

    former: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # not the main thread: signals are the caller's
        for number in (signal.SIGINT, signal.SIGTERM):
            former[number] = signal.signal(number, pass_on)
    try:
        yield received
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _wait(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until all have ended, or until the grace of those that a failed rank left behind is over."""
    failed_at = None
    while any(rank.poll() is None for rank in ranks):
        if failed_at is None and any(rank.returncode for rank in ranks):
            failed_at = time.monotonic()
        gone = any(rank.returncode is not None and rank.returncode in DEAD for rank in ranks)
        if failed_at is not None and time.monotonic() - failed_at > (GONE_SECONDS if gone else GRACE_SECONDS):
            return
        time.sleep(0.05)


def _kill(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    for rank in ranks:
        rank.kill()
        rank.wait()


def _judge(path: Path, statuses: Sequence[int], received: Sequence[int], dead: Sequence[int]) -> None:
    """Raise what the ranks' ends mean; nothing where all have finished."""
    if received or any(status in (128 + signal.SIGINT, 128 + signal.SIGTERM) for status in statuses):
        raise KeyboardInterrupt
    if not any(statuses):
        return
    for error in sorted(path.parent.glob(f"{path.stem}.error*")):
        raise UserError(error.read_text(encoding="utf-8"))
    raise RanksFailed(
        f"the ranks ended with {list(statuses)}; their output stands above (-9: killed, short of memory? {HUNG}: hung)",
        dead,
    )


def _die_with(parent: int) -> None:
    """Have this process killed when `parent`, which started it, is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def main(arguments: list[str]) -> int:
    """One rank: JOB.json, and the journal of events. Exit 0: finished; 2: wrong input; 128 + signal: saved, stopped."""
    job, launched, status = Path(arguments[0]), LAUNCHER in os.environ, 0
    if launched:
        _die_with(int(os.environ[LAUNCHER]))
    rank = int(os.environ.get("RANK", 0))
    tell = Journal(Path(arguments[1])).append if len(arguments) > 1 else None
    try:
        run_job(job, tell)
    except Interrupted as stopped:
        if not launched:
            sys.stderr.write(f"{stopped}\n")
        status = 128 + stopped.signal_number
    except UserError as error:
        if launched:
            files.write_text(job.with_name(f"{job.stem}.error{rank}"), str(error))
        else:
            sys.stderr.write(f"{error}\n")
        return error.exit_code  # without waiting: the others may not have failed
    parallel.leave()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
