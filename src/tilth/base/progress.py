"""One line on the terminal for anything that takes over two seconds; a line now and then where there is no terminal."""

from __future__ import annotations

import sys
import time


class Progress:
    """`with Progress("tokens", total=n, unit="doc") as bar: bar.add(1)`; writes to stderr only, never to stdout."""

    quiet = False

    def __init__(self, label: str, total: float | None = None, unit: str = "") -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0.0
        self.note = ""
        self.started = self._shown = time.monotonic()
        self._live = sys.stderr.isatty()
        self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._drawn:
            self._draw(final=True)

    def add(self, amount: float = 1.0, note: str = "") -> None:
        """Count `amount` more; `note` replaces the text behind the figures."""
        self.done += amount
        self.note = note or self.note
        now = time.monotonic()
        if now - self.started > 2 and now - self._shown > (0.2 if self._live else 15):
            self._shown = now
            self._draw()

    def _draw(self, final: bool = False) -> None:
        if Progress.quiet:
            return
        seconds = max(time.monotonic() - self.started, 1e-9)
        rate = self.done / seconds
        number, unit = (byte_size, "") if self.unit == "B" else (_short, f" {self.unit}")
        text = f"{self.label}: {number(self.done)}"
        if self.total:
            text += f"/{number(self.total)} ({100 * self.done / self.total:.0f} %)"
        text += f"{unit}, {number(rate)}/s, {_clock(seconds)}"
        if self.total and rate and not final:
            text += f", {_clock((self.total - self.done) / rate)} left"
        text += f"  {self.note}" if self.note else ""
        self._drawn = True
        if self._live:
            sys.stderr.write(f"\r\x1b[2K{text[:160]}" + ("\n" if final else ""))
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()


def note(text: str) -> None:
    """Something that a person should know and nothing fails by, on stderr."""
    if not Progress.quiet:
        print(f"note: {text}", file=sys.stderr)


def duration(seconds: float) -> str:
    """`75 s`, `12.3 min`, `2 h 39 min`: a length of time as reports and plans say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = int(seconds / 60)
    return f"{seconds / 60:.1f} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def byte_size(count: float) -> str:
    """`640 B`, `12.3 MB`: a number of bytes, in powers of ten."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} B"


def _short(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.1f}{letter}"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
