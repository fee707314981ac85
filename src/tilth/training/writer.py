"""Checkpoints written by a thread while training goes on: at most one at a time, its error raised in the loop."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.errors import UserError
from tilth.training import checkpoint
from tilth.training.faults import Faults
from tilth.training.parallel import World
from tilth.training.settings import ComputeSettings

MOST_FAILURES = 3
"""Checkpoints in a row for which the disk was full: after that the phase ends."""


class Writer:
    """Takes a snapshot of the state and writes it in a thread.

    `back` is how far behind the newest checkpoint another one stays; `tell` and `warn` are called in the loop's
    thread, when it next looks. A full disk costs a checkpoint and a warning, three in a row the run.
    """

    def __init__(
        self,
        folder: Path,
        settings: ComputeSettings,
        world: World,
        faults: Faults,
        back: int,
        tell: Callable[[dict[str, Any]], None],
        warn: Callable[[str], None],
    ) -> None:
        self.folder, self.settings, self.world, self.faults, self.back = folder, settings, world, faults, back
        self.tell, self.warn = tell, warn
        self.group = world.group()
        self.failures = 0
        self._thread: threading.Thread | None = None
        self._record: dict[str, Any] = {}
        self._saved: Path | None = None
        self._error: BaseException | None = None

    def save(self, tensors: checkpoint.Tensors, state: dict[str, Any], before: Callable[[], None]) -> None:
        """Begin to write the state; the loop may change the tensors when this returns. `before` is called first,
        in the thread."""
        began = time.monotonic()
        self.wait()
        waited = time.monotonic() - began
        copied = checkpoint.snapshot(tensors) if self._beside(tensors) else tensors
        blocked = time.monotonic() - began
        step = state["step"]
        self._record = {"event": "checkpoint", "step": step, "waited": round(waited, 4), "blocked": round(blocked, 4)}
        self._thread = threading.Thread(target=self._write, args=(step, copied, state, before), daemon=True)
        self._thread.start()
        if copied is tensors:
            self.wait()

    def _beside(self, tensors: checkpoint.Tensors) -> bool:
        """Whether a copy is taken, so that training goes on: on every rank alike."""
        if self.settings.checkpoint_async != "auto":
            return self.settings.checkpoint_async == "on"
        short = 2 * checkpoint.size_of(tensors) > machine.available_bytes()
        return not self.world.any(short)

    def _write(self, step: int, tensors: checkpoint.Tensors, state: dict[str, Any], before: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            before()
            full = self.faults.strikes("full", step)
            if any(self.group.together(lambda: full)):
                raise OSError(errno.ENOSPC, "No space left on device", str(self.folder))
            saved = checkpoint.write_checkpoint(self.folder, step, tensors, state, self.group)
            if self.faults.strikes("corrupt", step):
                _corrupt(saved)
            if self.world.first:
                keep, every = self.settings.checkpoint_keep, self.settings.checkpoint_keep_every
                checkpoint.retire(self.folder, keep, every, self.back)
            self._saved = saved
        except BaseException as error:
            self._error = error
        self._record["seconds"] = round(time.monotonic() - began, 4)

    def poll(self) -> None:
        """Say what the thread has done, if it has ended."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> Path | None:
        """Until nothing is being written; returns the newest checkpoint that this writer has written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._judge()
        return self._saved

    def _judge(self) -> None:
        """Raise what went wrong, unless it can be lived with."""
        error, self._error = self._error, None
        if error is None:
            self.failures = 0
            self.tell(self._record)
            return
        if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise error
        self.failures += 1
        step = self._record["step"]
        if self.failures >= MOST_FAILURES:
            raise UserError(
                f"the disk is full: {self.failures} checkpoints in a row, up to that of step {step}, were not written",
                where=str(self.folder),
                hint="make room; the same command goes on from the last checkpoint",
            )
        self.warn(f"the disk is full: the checkpoint of step {step} was not written; training goes on")

    def close(self) -> None:
        """Let the write in progress end; what becomes of it is no longer of interest."""
        if self._thread is not None:
            self._thread.join(timeout=None if self.world.size == 1 else 10.0)  # other ranks may be gone
            self._thread = None


def _corrupt(saved: Path) -> None:
    victim = min((saved / "tensors").glob("*.distcp"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
