"""Repeated lines, paragraphs or sentences: all places but the first are cut.

Passages are compared by 128-bit hashes of their text without the white space at its ends; see `tilth.text.passages` for
where each unit ends. A passage of at least `shortest` is cut if and only if the same passage stands at `keep` earlier
places: in documents of the hold-out, which go first, then in the corpus's order, then further up in the same document.
The white space behind it goes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.dedup.cuts import CutEdit, Spans
from tilth.corpus.document import texts_of
from tilth.corpus.settings import PassagesSettings
from tilth.corpus.steps import CorpusEdit, Edit, EditLog, Round

if TYPE_CHECKING:
    import pyarrow as pa


class PassagesStep(CorpusEdit):
    """Notes every passage by its hash, at its first character."""

    def __init__(self, name: str, settings: PassagesSettings) -> None:
        super().__init__(name)
        self.settings, self.memory = settings, settings.memory

    def rounds(self) -> Sequence[Round]:
        """One: the places behind the first `keep`."""
        return [Round(keep=self.settings.keep)]

    def most(self, number: int, size: int, marks: int) -> int:
        """A passage has at least `shortest` bytes."""
        return size // self.settings.shortest

    def note(
        self, number: int, texts: pa.LargeStringArray, rows: np.ndarray, marks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The passages that are long enough."""
        from tilth.text import split_passages

        found = split_passages(texts, self.settings.unit, self.settings.shortest)
        return found.keys, rows[found.row] << 32 | found.start

    def at(self, rows: np.ndarray, marks: np.ndarray) -> Edit:
        """Cuts the passages that start at the marks."""
        return _PassagesCut(self.name, self.settings, rows, marks)


class _PassagesCut(Edit):
    """Finds the marked passages again and cuts them."""

    def __init__(self, name: str, settings: PassagesSettings, rows: np.ndarray, marks: np.ndarray) -> None:
        super().__init__(name)
        self.settings, self.rows, self.marks = settings, rows, marks

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Logged as `line`, `paragraph` or `sentence`."""
        if not len(self.marks):
            return table, EditLog()
        import pyarrow as pa

        from tilth.text import split_passages

        marked = np.searchsorted(self.rows, np.unique(self.marks >> 32))
        found = split_passages(texts_of(table).take(pa.array(marked)), self.settings.unit, self.settings.shortest)
        rows = marked[found.row]
        cut = np.isin(self.rows[rows] << 32 | found.start, self.marks)
        spans = Spans(rows[cut], found.start[cut], found.end[cut])
        return CutEdit(self.name, self.settings.unit, spans).edit(table)
