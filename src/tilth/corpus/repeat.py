"""Sampling: how often each kept document is seen in an epoch. Texts are never copied; a column says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tilth.base.expression import Condition
from tilth.base.keyed import uniform
from tilth.corpus.running.shards import as_numpy
from tilth.corpus.settings import RepeatSettings

if TYPE_CHECKING:
    import pyarrow as pa


class Repeats:
    """The `repeat:` settings, ready to be asked."""

    def __init__(self, settings: Sequence[RepeatSettings]) -> None:
        self.entries = [(Condition(entry.where), entry.times) for entry in settings]

    def times(self, table: pa.Table) -> np.ndarray:
        """int32 [N]: the first entry whose condition holds counts; a fraction is decided by a hash of the id."""
        wanted = np.ones(len(table))
        open_rows = np.ones(len(table), bool)
        names = sorted({name for where, _ in self.entries for name in where.names})
        columns = {name: as_numpy(table.column(name)) for name in names}
        for where, times in self.entries:
            rows = open_rows & where(columns, len(table))
            wanted[rows] = times
            open_rows &= ~rows
        whole = np.floor(wanted)
        part = np.flatnonzero(wanted > whole)
        ids = table.column("id")
        for row in part.tolist():
            whole[row] += uniform("repeat", ids[row].as_py()) < wanted[row] - whole[row]
        return whole.astype(np.int32)
