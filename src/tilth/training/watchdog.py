"""A step that takes much longer than steps do has hung: all stacks are shown, and the process ends.

Whoever started it can start it again, and it goes on from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

HUNG = 75
"""Exit status of a process that hung, EX_TEMPFAIL of sysexits.h: trying again may help."""
FIRST_SECONDS = 3600.0
"""Limit of the first steps, which may compile for long."""
UNMEASURED = 3
"""Steps that may: their time says nothing about the others."""
FLOOR_SECONDS, FACTOR = 120.0, 20.0
"""By default a step has at least so long, and so many times what the slowest of the last 32 took."""
TICK = 0.25


class Watchdog:
    """Between `with` and its end, `beat` is called once a step; when it is not for too long, the process ends with 75.

    Time in which the whole process stood still (a laptop's lid, Ctrl-Z) does not count. `at_end` is told the step, and
    whether the process waited for others then: its hanging may be another's.
    """

    def __init__(
        self,
        limit: float | None,
        rank: int,
        tell: Callable[[dict[str, Any]], None],
        at_end: Callable[[int, bool], None] | None = None,
    ) -> None:
        self.given, self.rank, self.tell, self.at_end = limit, rank, tell, at_end
        self.step = 0
        self._recent: deque[float] = deque(maxlen=32)
        self._waited, self._began, self._beats = 0.0, time.monotonic(), 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def beat(self, step: int) -> None:
        """Step `step` has begun."""
        now = time.monotonic()
        if self._beats > UNMEASURED:
            self._recent.append(now - self._began)
        self.step, self._began, self._waited = step, now, 0.0
        self._beats += 1

    @property
    def limit(self) -> float:
        """Seconds that the step may take."""
        if self._beats <= UNMEASURED:
            return FIRST_SECONDS
        return self.given or (max(FLOOR_SECONDS, FACTOR * max(self._recent)) if self._recent else FIRST_SECONDS)

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(TICK):
            now = time.monotonic()
            self._waited += min(now - before, 2 * TICK)
            before = now
            if self._waited > self.limit and not self._stop.is_set():
                self._end()

    def _end(self) -> None:
        message = (
            f"rank {self.rank}: step {self.step} has taken {self._waited:.0f} s and is given up; "
            f"the same command goes on from the last checkpoint"
        )
        with contextlib.suppress(Exception):
            sys.stderr.write(f"error: {message}\nstacks of all threads:\n")
            sys.stderr.flush()
            faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
        with contextlib.suppress(Exception):
            if self.at_end is not None:
                self.at_end(self.step, waits_for_others())
        with contextlib.suppress(Exception):
            self.tell({"event": "hung", "step": self.step, "rank": self.rank, "message": message, "stacks": _stacks()})
        os._exit(HUNG)


def waited(work: Any) -> None:
    """Wait for asynchronous work of torch.distributed: that is no frame of its own, so this one is looked for."""
    work.wait()


def waits_for_others() -> bool:
    """Whether the main thread stands in a collective call of torch.distributed, or any waits for one under way: a
    backward pass on a GPU runs in threads of its own. (Others may stand in torch.distributed for a checkpoint.)"""
    for thread, innermost in sys._current_frames().items():
        at: FrameType | None = innermost
        while at is not None:
            called = "/torch/distributed/" in at.f_code.co_filename.replace(os.sep, "/")
            if at.f_code is waited.__code__ or (called and thread == threading.main_thread().ident):
                return True
            at = at.f_back
    return False


def _stacks() -> list[str]:
    """Where each thread stands, the innermost call last, for the journal of events."""
    found: list[str] = []
    for frame in sys._current_frames().values():
        places, at = [], frame
        while at is not None:
            places.append(f"{os.path.basename(at.f_code.co_filename)}:{at.f_lineno} {at.f_code.co_name}")
            at = at.f_back  # type: ignore[assignment]
        found.append(" > ".join(reversed(places)))
    return found
