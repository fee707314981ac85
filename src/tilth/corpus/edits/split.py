"""Splitting of very long documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.document import texts_of
from tilth.corpus.settings import SplitSettings
from tilth.corpus.steps import Edit, EditLog

if TYPE_CHECKING:
    import pyarrow as pa

_WINDOW = 0.5


class SplitStep(Edit):
    """Cuts a document longer than `longest` characters into children, at a paragraph's end where there is one.

    The first child takes the parent's place and each further one counts as born, so that
    documents in + born = kept + hold-out + rejected and no text stands twice. Children are `PARENT/0`, `PARENT/1`, …,
    carry the parent's labels and its id in `parent`; joined in order they are the parent's text to the byte.
    """

    def __init__(self, name: str, settings: SplitSettings) -> None:
        super().__init__(name)
        self.settings = settings

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Also logs the span of each child in its parent, as kind `split`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        log, texts = EditLog(), texts_of(table)
        longest = self.settings.longest
        long_rows = np.flatnonzero(pc.utf8_length(texts).to_numpy() > longest)
        if not len(long_rows):
            return table, log
        parts: list[pa.Table] = []
        done = 0
        for row in long_rows.tolist():
            spans = list(cuts(texts[row].as_py(), longest))
            for start, end in spans:
                log.add(row, "split", start, end)
            parts += [table.slice(done, row - done), _children(table.slice(row, 1), spans)]
            done = row + 1
        return pa.concat_tables([*parts, table.slice(done)]).combine_chunks(), log


def cuts(text: str, longest: int) -> Iterator[tuple[int, int]]:
    """Spans of at most `longest` characters that cover the text; cut behind an empty line, else a line, else anywhere.

    A cut is looked for in the second half of the span.
    """
    start = 0
    while len(text) - start > longest:
        lowest, highest = start + int(longest * _WINDOW), start + longest
        for mark in ("\n\n", "\n", "。", ". ", " "):
            found = text.rfind(mark, lowest, highest)
            if found >= 0:
                end = found + len(mark)
                break
        else:
            end = highest
        yield start, end
        start = end
    yield start, len(text)


def _children(parent: pa.Table, spans: list[tuple[int, int]]) -> pa.Table:
    import pyarrow as pa

    count = len(spans)
    own, text = parent.column("id")[0].as_py(), parent.column("text")[0].as_py()
    table = parent.take(pa.array(np.zeros(count, np.int64)))
    columns = {
        "id": pa.array([f"{own}/{i}" for i in range(count)], pa.string()),
        "text": pa.array([text[start:end] for start, end in spans], pa.large_string()),
        "parent": pa.array([own] * count, pa.string()),
    }
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table
