"""Boilerplate lines: page furniture that text extraction leaves behind, in English and Chinese.

The English list follows C4 (Raffel et al., 2020, arXiv:1910.10683, section 2.2), but asks for more than one word:
C4 drops every line with "javascript", which takes the sentences out of a JavaScript tutorial. `web: true` adds the line
rules of RefinedWeb (Penedo et al., 2023, arXiv:2306.01116, appendix G.2), which suit web pages and nothing else: they
take the headings out of a book.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.document import SIGNAL, texts_of
from tilth.corpus.edits.boilerplate import COUNTER, HEADS, PATTERNS, TELLING
from tilth.corpus.settings import LinesSettings
from tilth.corpus.steps import Edit, EditLog, Place, edit_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.text import Heads

REMOVED = SIGNAL + "removed_words"
"""With `web: true`: the share of a document's words that stood in the lines removed."""


class LinesStep(Edit):
    """Removes boilerplate lines with their line end. Only short lines are looked at; all removals are logged."""

    VERSION = 2

    def __init__(self, name: str, settings: LinesSettings) -> None:
        super().__init__(name)
        self.settings = settings
        self._own = [re.compile(pattern) for pattern in settings.patterns]
        self._kinds = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in PATTERNS.items()]

    def adds(self) -> dict[str, str | float | bytes]:
        """What part of the words is gone, where web lines are asked for: a rule may reject by it."""
        return {REMOVED: 0.0} if self.settings.web else {}

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Lines in which none of the telling words begins are passed over by a kernel."""
        texts = texts_of(table)
        rows = self._suspects(texts)
        if not self.settings.web:
            return edit_rows(table, rows, self.clean)
        web = _web_lines(texts)
        rows = np.union1d(rows, np.fromiter(web, np.int64, len(web)))
        found = iter(rows.tolist())
        table, log = edit_rows(table, rows, lambda text: self.clean(text, web.get(next(found), {})))
        return _with_removed(table, texts), log

    def _suspects(self, texts: pa.LargeStringArray) -> np.ndarray:
        """Rows with at least one boilerplate line."""
        import pyarrow as pa

        if self._own:
            rows, lines = _short_lines(texts, self.settings.longest)
        else:
            rows, lines = _heads().lines(texts, self.settings.longest)
            telling = _matches(pa.array(lines, pa.large_string()))
            rows, lines = rows[telling], [lines[i] for i in np.flatnonzero(telling).tolist()]
        found = [self._kind(line.strip()) is not None for line in lines]
        return np.unique(rows[np.array(found, bool)])

    def clean(self, text: str, web: Mapping[int, str] | None = None) -> tuple[str, list[Place]]:
        """The text without its boilerplate lines, and where they stood (with their line ends).

        `web` names more lines to take, by their first characters.
        """
        pieces: list[str] = []
        places: list[Place] = []
        start = 0
        for line in text.split("\n"):
            end = min(start + len(line) + 1, len(text))
            kind = self._kind(line.strip()) if len(line) <= self.settings.longest else None
            kind = kind or (web or {}).get(start)
            if kind and end > start:
                places.append((kind, start, end))
            else:
                pieces.append(text[start:end])
            start = end
        return ("".join(pieces), places) if places else (text, [])

    def _kind(self, line: str) -> str | None:
        if not line:
            return None
        if any(pattern.search(line) for pattern in self._own):
            return "own"
        if _CODE.search(line):
            return None
        if len(line) > _LONGEST_CHINESE and sum(1 for character in line if character >= "\u2e80") * 2 > len(line):
            return None
        return next((kind for kind, pattern in self._kinds if pattern.search(line)), None)


_CODE = re.compile(r"[=;{}<\\`]|^(?:[*#%\"'>]|//|--|/\*)")
"""What stands in source code and mark-up and hardly ever in page furniture: a line taken out would break a program."""
_LONGEST_CHINESE = 50
"""Characters; a longer line is a sentence that speaks of the thing."""


def _web_lines(texts: pa.LargeStringArray) -> dict[int, dict[int, str]]:
    """Row: first character of a line: what it is, in RefinedWeb's terms."""
    from tilth.text import web_lines
    from tilth.text.furniture import KINDS

    found: dict[int, dict[int, str]] = {}
    last, text = -1, ""
    for row, start, end, kind in web_lines(texts).tolist():
        name = KINDS[kind]
        if name == "counter?":
            if row != last:
                last, text = row, texts[row].as_py()
            if end - start > _LONGEST_COUNTER or not _COUNTER.search(text[start:end].strip()):
                continue
            name = "counter"
        found.setdefault(row, {})[start] = name
    return found


_COUNTER = re.compile(COUNTER, re.IGNORECASE)
_LONGEST_COUNTER = 100


def _with_removed(table: pa.Table, before: pa.LargeStringArray) -> pa.Table:
    """Add the share of words that are gone; words are those of `tilth.text.unit_counts`."""
    import pyarrow as pa

    from tilth.text import unit_counts

    words = unit_counts(before)[:, 0].astype(float)
    gone = words - unit_counts(texts_of(table))[:, 0]
    share = pa.array(np.divide(gone, words, out=np.zeros_like(words), where=words > 0).astype(np.float32))
    at = table.schema.get_field_index(REMOVED)
    return table.append_column(REMOVED, share) if at < 0 else table.set_column(at, REMOVED, share)


@functools.cache
def _heads() -> Heads:
    """What the kernel looks for."""
    from tilth.text import Heads

    return Heads(HEADS)


def _short_lines(texts: pa.LargeStringArray, longest: int) -> tuple[np.ndarray, list[str]]:
    """The lines of at most `longest` characters, and int64 [M] their rows, rising."""
    import pyarrow.compute as pc

    lines = pc.split_pattern(texts, pattern="\n")
    flat = lines.flatten()
    short = pc.less_equal(pc.utf8_length(flat), longest)
    return pc.list_parent_indices(lines).filter(short).to_numpy(), flat.filter(short).to_pylist()


def _matches(texts: pa.LargeStringArray) -> np.ndarray:
    import pyarrow.compute as pc

    return pc.match_substring_regex(texts, TELLING, ignore_case=True).to_numpy(zero_copy_only=False)
