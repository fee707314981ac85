"""The runs that a law is fitted on: named columns of numbers, one of them the loss."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.counting import Counting
from tilth.laws.flops import training_flops

Array = np.ndarray[Any, np.dtype[np.float64]]
AGREE = 0.01
"""C and 6 N D of one run may differ by so much: tokens are rounded to whole steps."""


class RowError(UserError):
    """One of the runs cannot be used; whoever read them from a file knows its line by `row`, from 0."""

    def __init__(self, row: int, said: str, *, hint: str | None = None) -> None:
        self.row, self.said = row, said
        super().__init__(f"row {row + 1}: {said}", hint=hint)


def first_row(bad: Any) -> int | None:
    """The first of the rows (n,) that are marked; None where none is."""
    return int(np.flatnonzero(bad)[0]) if bad.any() else None


@dataclass(frozen=True)
class Points:
    """`columns` of equal length n (parameters N, tokens D, FLOP C, a share r, ...) and `loss` (n,) in nats a token."""

    columns: Mapping[str, Array]
    loss: Array
    counting: Counting | None = None
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.loss)

    def rows(self, chosen: Array | np.ndarray[Any, Any], note: str | None = None) -> Points:
        """The points at these places (numbers or a mask)."""
        kept = {name: values[chosen] for name, values in self.columns.items()}
        return Points(kept, self.loss[chosen], self.counting, (*self.notes, note) if note else self.notes)

    def said(self) -> tuple[str, ...]:
        """What a reader must know of the points as they are: rows that repeat others, and what was left out."""
        return (*repeats(*self.columns.values(), self.loss), *self.notes)

    def without_highest(self, count: int) -> Points:
        """Leave out the `count` highest losses: diverged or hardly trained runs, that no scaling law speaks of."""
        if not count:
            return self
        keep = np.sort(np.argsort(self.loss, kind="stable")[: max(len(self) - count, 0)])
        return self.rows(keep, f"the {count} highest losses were left out")

    def fingerprint(self) -> str:
        """16 hex digits of the data, whatever the order of the rows or columns."""
        names = sorted(self.columns)
        table = np.column_stack([*(self.columns[name] for name in names), self.loss])
        table = table[np.lexsort(table.T)]
        text = f"{names} {self.counting} ".encode() + np.ascontiguousarray(table, dtype="<f8").tobytes()
        return hashlib.sha256(text).hexdigest()[:16]


def repeats(*columns: Array) -> tuple[str, ...]:
    """A sentence where rows of these columns (n,) say the same to the last digit: each counts as a run of its own."""
    different = len(np.unique(np.column_stack(columns), axis=0))
    more = len(columns[0]) - different
    if not more:
        return ()
    rows = "row repeats another, and counts" if more == 1 else "rows repeat others, and count"
    return (f"{more} of {len(columns[0])} {rows} as a run of its own: equal to the last digit, so perhaps a copy",)


def check_compute(parameters: Array, tokens: Array, flops: Array) -> None:
    """Refuse runs (n,) that contradict themselves: of N, D and C one follows from the two others."""
    follows = training_flops(parameters, tokens)
    off = np.flatnonzero(np.abs(flops / follows - 1) > AGREE)
    if len(off):
        at, others = int(off[0]), len(off) - 1
        more = f", and {others} more row{'s' * (others > 1)} of the kind" if others else ""
        raise RowError(
            at,
            f"C is {flops[at]:.4g}, but 6 N D is {follows[at]:.4g}{more}",
            hint="leave the column out that is not meant, or give it another name",
        )


def points(columns: Mapping[str, Any], loss: Any, counting: Counting | None = None) -> Points:
    """Checked points: equal lengths, everything finite, losses above 0."""
    arrays = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    losses = np.asarray(loss, dtype=float)
    for name, values in [*arrays.items(), ("loss", losses)]:
        if values.shape != losses.shape or values.ndim != 1:
            raise UserError(f"column {name!r} has shape {values.shape}, the losses {losses.shape}: they must be equal")
        if (at := first_row(~np.isfinite(values))) is not None:
            raise RowError(at, f"{name!r} is {values[at]}: every value must be a finite number")
    if (at := first_row(losses <= 0)) is not None:
        raise RowError(at, "a loss must be above 0")
    return Points(arrays, losses, counting)
