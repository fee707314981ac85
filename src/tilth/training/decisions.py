"""decisions.jsonl: what was decided while training, and what a run that comes by again finds decided already.

A record has `step` (where it was decided) and `decision`:

    weights      another mixture from `from_step` on
    skip_update  a step that is not learnt from, with its `sequences`
    rewind       back to the end of step `to`; the sequences drawn as number `skip[0]` to `skip[1] - 1` are left out
    new_level    a sustained rise that is taken as it is
    control      what a control file asked for, from the next step on

The file is only ever added to. A resumed run finds the records of steps that it has yet to take again, and follows them
instead of deciding anew: the same decisions give the same run on any layout. What a rewind left behind stays in the
file as history, but is followed no more. No torch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError
from tilth.base.events import Journal, read_journal

Record = dict[str, Any]


class Decisions:
    """The decisions of a phase; `writes` on one rank alone, and all ranks read what stood there at the start."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self.path, self._writes = path, writes
        self.followed: list[Record] = []
        """Those that hold: all but what a rewind left behind."""
        for record in read_journal(path):
            self._follow(record)
        self._journal = Journal(path if writes else Path(os.devnull))

    def _follow(self, record: Record) -> None:
        if record["decision"] == "rewind":
            self.followed = [r for r in self.followed if r["step"] <= record["to"] or r["decision"] == "rewind"]
        self.followed.append(record)

    def find(self, decision: str, step: int) -> Record | None:
        """The decision that was taken at `step`, if one was."""
        found = [r for r in self.followed if r["decision"] == decision and r["step"] == step]
        return found[-1] if found else None

    def take(self, record: Record) -> None:
        """Write a decision down, to be followed from now on; one that stands there already is not written again.

        Rewinds happen anew, and so do control files: a resumed run may find another one where it follows one already.
        """
        if record["decision"] in ("rewind", "control") or self.find(record["decision"], record["step"]) is None:
            self._follow(record)
            self._journal.append(record, durable=self._writes)

    def rewinds(self) -> list[Record]:
        """Every rewind, the first one first."""
        return [record for record in self.followed if record["decision"] == "rewind"]

    def skipped(self, number: int) -> bool:
        """Whether the phase's `number`-th drawn sequence (from 0) is left out."""
        return any(record["skip"][0] <= number < record["skip"][1] for record in self.rewinds())

    def rate(self, step: int) -> float:
        """The rate's factor in `step` (from 1): the cuts of rewinds to before it, times what a control file set."""
        cuts, asked = 1.0, 1.0
        for record in self.followed:
            if record["decision"] == "rewind" and record["to"] < step:
                cuts *= record["rate_cut"]
            elif record["decision"] == "control" and record["step"] < step:
                asked = record["asked"].get("learning_rate", asked)
        return cuts * asked

    def asked(self, name: str, step: int, default: Any) -> Any:
        """What a control file asked of the setting `name` for `step`, else the default."""
        for record in self.followed:
            if record["decision"] == "control" and record["step"] < step:
                default = record["asked"].get(name, default)
        return default

    def count(self, step: int) -> int:
        """Decisions up to the end of `step` that hold: what a checkpoint of that step relies on."""
        return sum(record["step"] <= step for record in self.followed if record["decision"] != "rewind")

    def check(self, step: int, expected: int) -> None:
        """Refuse a journal that has lost what a checkpoint relies on."""
        if self.count(step) < expected:
            raise UserError(
                f"{expected} decisions up to step {step} shaped the checkpoint, {self.count(step)} are there",
                where=str(self.path),
                hint="bring the file back, or remove the checkpoints to begin the phase again",
            )

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def sync(self) -> None:
        """Wait until all is on the disk."""
        self._journal.sync()
