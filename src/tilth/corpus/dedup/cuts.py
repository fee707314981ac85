"""Cutting places out of texts: what the steps that remove parts of documents have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.steps import Edit, EditLog, Place, edit_rows

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Spans:
    """What is to be cut: row of the table, first character and the one behind the last, int64 [S], by row and start."""

    rows: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def merged(self) -> Spans:
        """The same characters, those that overlap or touch as one span; ends must rise with the starts."""
        fresh = np.ones(len(self.rows), bool)
        fresh[1:] = (self.rows[1:] != self.rows[:-1]) | (self.starts[1:] > self.ends[:-1])
        first = np.flatnonzero(fresh)
        last = np.append(first[1:], len(self.rows)) - 1 if len(first) else first
        return Spans(self.rows[first], self.starts[first], self.ends[last])


class CutEdit(Edit):
    """Cuts spans out of the texts of one table and logs them as `cut_as`."""

    def __init__(self, name: str, cut_as: str, spans: Spans) -> None:
        super().__init__(name)
        self.cut_as, self.spans = cut_as, spans

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Merged spans are cut and logged; what stood around them is joined as it is."""
        spans = self.spans.merged()
        rows, first = np.unique(spans.rows, return_index=True)
        pieces = zip(np.split(spans.starts, first[1:]), np.split(spans.ends, first[1:]), strict=True)

        def change(text: str) -> tuple[str, list[Place]]:
            starts, ends = (piece.tolist() for piece in next(pieces))
            kept = [text[start:end] for start, end in zip([0, *ends], [*starts, len(text)], strict=True)]
            return "".join(kept), [(self.cut_as, start, end) for start, end in zip(starts, ends, strict=True)]

        return edit_rows(table, rows, change)
