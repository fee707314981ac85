"""Faults on purpose, so that every way back is tested: `kill@120:rank1, nan@50, corrupt@80, hang@90, full@70`.

One list, of the setting `compute.faults` or the variable TILTH_FAULTS. Each strikes once in the life of a phase's
folder, however often the phase is started again or goes back: what has struck stands in `checkpoints/faults.jsonl`.
No torch.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tilth.base.errors import UserError, nearest
from tilth.base.events import Journal, read_journal

VARIABLE = "TILTH_FAULTS"
KINDS = {
    "kill": "SIGKILL at the beginning of the step",
    "hang": "the step never ends",
    "nan": "the step's gradient is not finite",
    "spike": "the step is taken at 100 times its rate",
    "corrupt": "a byte of the first checkpoint from this step on is changed",
    "full": "the disk is full for the first checkpoint from this step on",
}
_FAULT = re.compile(r"(?P<kind>[a-z]+)@(?P<step>[0-9]+)(?::rank(?P<rank>[0-9]+))?")


@dataclass(frozen=True)
class Fault:
    """What happens, in which step (from 1), on which rank (None: on every one)."""

    kind: str
    step: int
    rank: int | None = None

    def __str__(self) -> str:
        return f"{self.kind}@{self.step}" + ("" if self.rank is None else f":rank{self.rank}")


def parse_faults(text: str) -> tuple[Fault, ...]:
    """The faults of a list, separated by commas or lines; ValueError with the line for what is none."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        where = f"line {number}: " if "\n" in text else ""
        for part in filter(None, map(str.strip, line.split(","))):
            match = _FAULT.fullmatch(part)
            if match is None:
                raise ValueError(f"{where}expected KIND@STEP or KIND@STEP:rankN, such as nan@50, found {part!r}")
            kind, step, rank = match["kind"], int(match["step"]), match["rank"]
            if kind not in KINDS:
                raise ValueError(f"{where}there is no fault {kind!r} ({nearest(kind, KINDS)})")
            if step < 1:
                raise ValueError(f"{where}{part}: steps are counted from 1")
            found.append(Fault(kind, step, None if rank is None else int(rank)))
    return tuple(found)


class Faults:
    """The faults that are still to strike on one rank."""

    def __init__(self, folder: Path, rank: int, setting: str | None) -> None:
        text = os.environ.get(VARIABLE) if setting is None else setting
        try:
            faults = parse_faults(text or "")
        except ValueError as error:
            raise UserError(str(error), where=VARIABLE) from None
        self.rank, self.path = rank, folder / "checkpoints" / "faults.jsonl"
        mine = [fault for fault in faults if fault.rank in (None, rank)]
        struck = {(record["fault"], record["rank"]) for record in read_journal(self.path)} if mine else set()
        self.left = [fault for fault in mine if (str(fault), rank) not in struck]

    def strikes(self, kind: str, step: int) -> bool:
        """Whether a fault of this kind strikes in `step`; it is written down first, and then spent.

        What befalls a checkpoint befalls the first one that is written in its step or later.
        """
        later = kind in ("corrupt", "full")
        for fault in self.left:
            if fault.kind == kind and (fault.step == step or (later and fault.step < step)):
                self.left.remove(fault)
                journal = Journal(self.path)
                journal.append({"fault": str(fault), "rank": self.rank, "at": step}, durable=True)
                journal.close()
                return True
        return False
