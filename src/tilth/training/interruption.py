"""Ctrl-C and SIGTERM stop, SIGUSR1 saves: noticed at once, obeyed between two steps."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any


class Interrupted(Exception):
    """Ctrl-C or SIGTERM: the state is saved; the same call goes on from there."""

    def __init__(self, step: int, saved: Path, signal_number: int) -> None:
        super().__init__(f"stopped after step {step}; saved in {saved}")
        self.step, self.saved, self.signal_number = step, saved, signal_number


class Signals:
    """While inside, Ctrl-C and SIGTERM are remembered instead of stopping the process; a second one stops it.

    SIGUSR1 asks for a checkpoint, and training goes on.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._save = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._remember)
            self._former[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._ask)
        except ValueError:
            pass  # not the main thread: signals are the caller's
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def take_save(self) -> bool:
        """Whether a checkpoint has been asked for since this was last called."""
        asked, self._save = self._save, False
        return asked

    def _ask(self, *_: object) -> None:
        self._save = True

    def _remember(self, number: int, _: object) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
