"""Repeated stretches of text: all places but the first are cut (after Lee et al., 2021, arXiv:2107.06499).

Exactly: documents have a priority (the hold-out first, then the corpus's order), and so have places. The window at a
character is the shortest stretch of its document from there on whose width is at least `length` (a character counts
one, from U+2E80 on two). A character is cut if and only if it lies in a window whose text stands at an earlier place
too, either in an earlier document or in the same one without overlapping the window.

So every stretch that stands twice, once or more of its first place stays unless that lies in a still earlier repeat; a
stretch is never cut because of text across the border of two documents, and what is cut consists of whole characters.
Texts are equal if 128-bit hashes of their bytes are.

Two rounds find it without a suffix array. The first notes the anchors of all windows (`tilth.text.substrings`) and
chooses those that stand at several places; the second notes the windows of these anchors and chooses the repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.dedup.cuts import CutEdit, Spans
from tilth.corpus.document import texts_of
from tilth.corpus.settings import SubstringSettings
from tilth.corpus.steps import CorpusEdit, Edit, EditLog, Round

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMN = 2**32 - 1


class SubstringStep(CorpusEdit):
    """Notes anchors, then the windows that may stand twice; a place is a row and the width of the text before it."""

    def __init__(self, name: str, settings: SubstringSettings) -> None:
        super().__init__(name)
        self.settings, self.memory = settings, settings.memory

    def rounds(self) -> Sequence[Round]:
        """Two: anchors that stand twice, windows behind the first of their text."""
        return [Round(every=True), Round(apart=self.settings.length)]

    def most(self, number: int, size: int, marks: int) -> int:
        """Of stretches of half the length, two in as many are anchors; each anchor stands for no more windows."""
        half = self.settings.length // 2 + 1
        return 2 * size // half if number == 0 else min(size, marks * half)

    def note(
        self, number: int, texts: pa.LargeStringArray, rows: np.ndarray, marks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Anchors, then windows of the marked ones."""
        from tilth.text import anchors, windows

        if number == 0:
            return anchors(texts, rows, self.settings.length)
        return windows(texts, rows, self.settings.length, marks)

    def at(self, rows: np.ndarray, marks: np.ndarray) -> Edit:
        """Cuts the windows that start at the marks."""
        return _SubstringCut(self.name, self.settings.length, rows, marks)


class _SubstringCut(Edit):
    """Turns places into spans of characters and cuts them."""

    def __init__(self, name: str, length: int, rows: np.ndarray, marks: np.ndarray) -> None:
        super().__init__(name)
        self.length, self.rows, self.marks = length, rows, marks

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Logged as `repeated`; windows that overlap or touch are one place."""
        if not len(self.marks):
            return table, EditLog()
        texts = texts_of(table)
        rows, first = np.unique(self.marks >> 32, return_index=True)
        parts = []
        for number, marks in zip(rows, np.split(self.marks & _COLUMN, first[1:]), strict=True):
            row = int(np.searchsorted(self.rows, number))
            before = columns(texts[row].as_py())
            starts, ends = np.searchsorted(before, marks), np.searchsorted(before, marks + self.length)
            parts.append((np.full(len(marks), row), starts, ends))
        spans = Spans(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        return CutEdit(self.name, "repeated", spans).edit(table)


def columns(text: str) -> np.ndarray:
    """int64 [characters]: the width of the text before each character."""
    from tilth.text.substrings import WIDE

    widths = 1 + (np.frombuffer(text.encode("utf-32-le"), "<u4") >= WIDE).astype(np.int64)
    return np.cumsum(widths) - widths
