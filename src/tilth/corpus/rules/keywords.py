"""Lists of words: documents that hold them are rejected, tagged, or have them masked. One setting, up to three steps.

A rejection's rule is the list's name, its partner the word found most often; `tilth look` shows where it stands.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.errors import UserError
from tilth.base.expression import Condition
from tilth.base.files import digest_file
from tilth.corpus.document import SIGNAL, rows_where, texts_of
from tilth.corpus.settings import CorpusSettings, KeywordsSettings, WordList
from tilth.corpus.steps import DecideTexts, Edit, EditLog, Measure, Place, Rejections, Step, edit_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.text import Keywords

SPAM = "{spam}"


def keyword_steps(name: str, settings: KeywordsSettings) -> list[Step]:
    """The steps that a `keywords` in the chain stands for: tags, then masks, then rejections, of the lists that ask."""
    kinds = (
        ("tag", KeywordTags, f"{name}.tag"),
        ("mask", KeywordMask, f"{name}.mask"),
        ("reject", KeywordFilter, name),
    )
    return [
        kind(called, [entry for entry in settings.lists if entry.policy == policy])
        for policy, kind, called in kinds
        if any(entry.policy == policy for entry in settings.lists)
    ]


def located(settings: CorpusSettings, base: Path) -> CorpusSettings:
    """The same settings with every file of words found below `base` and its hash filled in.

    Raises `UserError` for a file that is missing, or is another one than `sha256` says.
    """
    lists = [_located(entry, base, i) for i, entry in enumerate(settings.keywords.lists)]
    return settings.model_copy(update={"keywords": settings.keywords.model_copy(update={"lists": lists})})


def _located(entry: WordList, base: Path, number: int) -> WordList:
    if not entry.file:
        return entry
    spam = Path(__file__).with_name("spam_words.txt")
    path = spam if entry.file == SPAM else Path(os.path.normpath(base / entry.file))
    where = f"corpus.keywords.lists.{number}.file"
    if not path.is_file():
        raise UserError(
            f"there is no file {str(path)!r}", where=where, hint="paths are relative to the recipe's folder"
        )
    found = digest_file(path)
    if entry.sha256 not in ("", found):
        raise UserError(f"{str(path)!r} has the SHA-256 {found}, not the one given", where=where)
    return entry.model_copy(update={"file": str(path.resolve()), "sha256": found})


@dataclass(frozen=True)
class _List:
    """A list that is ready to be looked for."""

    settings: WordList
    keywords: Keywords
    where: Condition | None

    def places(self, table: pa.Table) -> np.ndarray:
        """int64 [M, 4]: row, first character, end, word, of the rows that the list is for."""
        found = self.keywords.find(texts_of(table))
        if self.where is None:
            return found
        return found[rows_where(self.where, table)[found[:, 0]]]


@dataclass(frozen=True)
class _Counts:
    """Of each row of a batch that holds a word."""

    rows: np.ndarray
    """int64, rising"""
    count: np.ndarray
    """int64: places"""
    share: np.ndarray
    """float64: of the characters"""
    words: np.ndarray
    """object array of str: the most frequent word, of several the one found first"""

    @classmethod
    def of(cls, found: _List, table: pa.Table) -> _Counts:
        import pyarrow as pa
        import pyarrow.compute as pc

        places = found.places(table)
        rows, first, count = np.unique(places[:, 0], return_index=True, return_counts=True)
        lengths = pc.utf8_length(texts_of(table).take(pa.array(rows))).to_numpy()
        covered = np.add.reduceat(places[:, 2] - places[:, 1], first) if len(rows) else np.empty(0, np.int64)
        words = [_most_frequent(places[i : i + n, 3]) for i, n in zip(first.tolist(), count.tolist(), strict=True)]
        named = np.array([found.keywords.words[word] for word in words], object)
        return cls(rows, count, covered / np.maximum(lengths, 1), named)


def _most_frequent(words: np.ndarray) -> int:
    found, first, count = np.unique(words, return_index=True, return_counts=True)
    return int(found[np.lexsort((first, -count))[0]])


def _needs(lists: Sequence[WordList]) -> Sequence[str]:
    return sorted({name for entry in lists if entry.where for name in Condition(entry.where).names})


class KeywordTags(Measure):
    """Adds how often words of the list stand in a document, their share of its characters, the most frequent one."""

    def __init__(self, name: str, lists: Sequence[WordList]) -> None:
        super().__init__(name)
        self.lists = list(lists)

    def needs(self) -> Sequence[str]:
        return _needs(self.lists)

    def adds(self) -> dict[str, str | float | bytes]:
        kinds: dict[str, str | float | bytes] = {"count": 0.0, "share": 0.0, "word": ""}
        return {f"{SIGNAL}{entry.name}_{what}": kind for entry in self.lists for what, kind in kinds.items()}

    def measure(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa

        for entry in self.lists:
            found = _Counts.of(_ready(entry.model_dump_json()), table)
            columns: dict[str, Any] = {"count": np.zeros(len(table), np.int64)}
            columns |= {"share": np.zeros(len(table), np.float32), "word": np.full(len(table), "", object)}
            for what, values in (("count", found.count), ("share", found.share), ("word", found.words)):
                columns[what][found.rows] = values
                name = f"{SIGNAL}{entry.name}_{what}"
                array = pa.array(columns[what], pa.string() if what == "word" else None)
                at = table.schema.get_field_index(name)
                table = table.append_column(name, array) if at < 0 else table.set_column(at, name, array)
        return table


class KeywordMask(Edit):
    """Replaces words of the lists by placeholders; the log carries the list's name and the place, never the word."""

    blurs = True

    def __init__(self, name: str, lists: Sequence[WordList]) -> None:
        super().__init__(name)
        self.lists = list(lists)

    def needs(self) -> Sequence[str]:
        return _needs(self.lists)

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Of places that overlap, the one that begins first is masked, and of those the one of the first list."""
        by_row: dict[int, list[Place]] = {}
        written = {entry.name: entry.placeholder or f"[{entry.name.upper()}]" for entry in self.lists}
        for entry in self.lists:
            for row, start, end, _ in _ready(entry.model_dump_json()).places(table).tolist():
                by_row.setdefault(row, []).append((entry.name, start, end))
        rows = np.array(sorted(by_row), np.int64)
        todo = iter(rows.tolist())
        return edit_rows(table, rows, lambda text: _masked(text, by_row[next(todo)], written))


def _masked(text: str, places: list[Place], written: dict[str, str]) -> tuple[str, list[Place]]:
    pieces, kept, done = [], [], 0
    for place in sorted(places, key=lambda place: place[1]):
        name, start, end = place
        if start >= done:
            pieces += [text[done:start], written[name]]
            kept.append(place)
            done = end
    return "".join([*pieces, text[done:]]), kept


class KeywordFilter(DecideTexts):
    """Rejects documents in which a list's words stand often and densely enough, by the first such list."""

    def __init__(self, name: str, lists: Sequence[WordList]) -> None:
        super().__init__(name)
        self.lists = list(lists)

    def needs(self) -> Sequence[str]:
        return _needs(self.lists)

    def decide_texts(self, table: pa.Table) -> tuple[Rejections, list[dict[str, Any]]]:
        parts, gone = [], np.zeros(len(table), bool)
        for entry in self.lists:
            found = _Counts.of(_ready(entry.model_dump_json()), table)
            bad = (found.count >= entry.min_count) & (found.share >= entry.min_share) & ~gone[found.rows]
            values = found.share if entry.min_share else found.count
            rows = found.rows[bad]
            gone[rows] = True
            limit = entry.min_share or entry.min_count
            parts.append(Rejections.of(rows, entry.name, values[bad], limit, found.words[bad]))
        every = Rejections.join(parts)
        return every.take(np.argsort(every.rows)), []


@functools.lru_cache(maxsize=64)
def _ready(settings_json: str) -> _List:
    """Built once a process."""
    from tilth.text import Keywords

    settings = WordList(**json.loads(settings_json))
    words = list(dict.fromkeys([*settings.words, *(_read(Path(settings.file)) if settings.file else ())]))
    if not words:
        raise UserError("there is no word in the list", where=settings.file or f"keywords list {settings.name!r}")
    return _List(settings, Keywords.build(words), Condition(settings.where) if settings.where else None)


def _read(path: Path) -> Iterator[str]:
    """The words of a file."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix in (".zst", ".zstd"):
        import zstandard

        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError("the list of words is not UTF-8", where=f"{path}:{line}", hint="save it as UTF-8") from None
    yield from (line.strip() for line in lines if line.strip() and not line.startswith("# "))
