"""Decontamination: documents that hold benchmark items are removed, or the items cut out of them; every overlap is
reported item by item.

An item's texts (question, options, answer, …) are cut into n-grams of 8 words or 12 Chinese characters; 8 is what Llama
2's contamination study used (Touvron et al., 2023, arXiv:2307.09288, appendix A.6). From each n-gram that a document
holds a span grows across small changes (`tilth.text.spans`). A text's coverage is the share of its units in these
spans; an item's coverage is the mean over its texts, weighted by their length, or the coverage of a single text that is
long enough to identify the item alone (a leaked question without its answer), or that of all its texts in order.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.lists import Lists
from tilth.corpus.decontamination.benchmarks import Item, load_items
from tilth.corpus.dedup.cuts import CutEdit, Spans
from tilth.corpus.document import texts_of
from tilth.corpus.settings import DecontaminateSettings
from tilth.corpus.sources import InputFile
from tilth.corpus.steps import DecideTexts, Edit, EditLog, Rejections

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.text import Hits, Ngrams

_REPORTED = 0.25
"""Coverage from which a document and an item are listed together, removed or not."""


@dataclass(frozen=True)
class _Texts:
    """The items' texts, each once, and of items that have several all of them as one, in order."""

    items: list[Item]
    owners: Lists
    """For each text the items that have it, ..."""
    alone: np.ndarray
    """... bool, whether it identifies them alone: it has at least 2 n - 1 units; ..."""
    sizes: np.ndarray
    """... and float64, its characters, the weight in its items' mean coverage; 0 where it is several texts as one."""
    texts: list[str]
    too_short: list[str]
    """Names of items without any text of n / 2 units, which would match by chance."""


@dataclass(frozen=True)
class _Index:
    """The texts, ready to be looked for."""

    texts: _Texts
    ngrams: Ngrams
    totals: np.ndarray
    """For each item the characters of its texts that can be looked for (float64)."""


@dataclass(frozen=True)
class _Overlaps:
    """Pairs of a document and an item that has some text in it, by document and item (arrays of one length) ..."""

    row: np.ndarray
    item: np.ndarray
    coverage: np.ndarray
    texts: np.ndarray
    """... and every such text, int64 [texts, 3]: its pair's number, and from where to where its spans stand among the
    hits."""


@dataclass(frozen=True)
class Leak:
    """An item that a document holds at least a quarter of: coverage, and its spans in characters of the text."""

    row: int
    item: int
    name: str
    coverage: float
    spans: tuple[tuple[int, int], ...]


class Search:
    """Looks for benchmark items in documents; what it finds is counted item by item."""

    def __init__(self, settings: DecontaminateSettings, benchmarks: Sequence[InputFile]) -> None:
        self.settings, self.benchmarks = settings, tuple(benchmarks)

    def items(self) -> list[Item]:
        """Those that are long enough to look for."""
        texts = _texts(self.settings.model_dump_json(), self.benchmarks)
        short = set(texts.too_short)
        return [item for item in texts.items if item.name not in short]

    def leaks(self, table: pa.Table) -> list[Leak]:
        """By row and item."""
        index = _index(self.settings.model_dump_json(), self.benchmarks)
        hits = index.ngrams.hits(texts_of(table))
        overlaps = _overlaps(hits, index)
        limit = min(_REPORTED, self.settings.coverage)
        covered = {
            pair: share
            for pair, coverage in enumerate(overlaps.coverage.tolist())
            if (share := round(coverage, 4)) >= limit  # so that it prints as it compares
        }
        spans: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for pair, begin, end in overlaps.texts[np.isin(overlaps.texts[:, 0], [*covered])].tolist():
            spans[pair].update(zip(hits.start[begin:end].tolist(), hits.end[begin:end].tolist(), strict=True))
        rows, items = overlaps.row.tolist(), overlaps.item.tolist()
        return [
            Leak(rows[pair], items[pair], index.texts.items[items[pair]].name, share, tuple(_joined(spans[pair])))
            for pair, share in covered.items()
        ]

    def findings(self, leaks: Sequence[Leak], table: pa.Table) -> list[dict[str, Any]]:
        """The lines of contamination.jsonl."""
        ids = table.column("id")
        return [
            {
                "item": leak.name,
                "document": ids[leak.row].as_py(),
                "coverage": leak.coverage,
                "removed": leak.coverage >= self.settings.coverage,
                "spans": [list(span) for span in leak.spans],
            }
            for leak in leaks
        ]

    def summary(self, findings: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Per benchmark: items, those found and the documents removed or cut for them, and items too short to test."""
        texts = _texts(self.settings.model_dump_json(), self.benchmarks)
        documents = {"remove": "documents_removed", "cut": "documents_cut"}[self.settings.action]
        report: dict[str, Any] = {
            file.name: {"items": 0, "items_found": 0, documents: 0, "too_short": []} for file in self.benchmarks
        }
        benchmark_of = {item.name: item.benchmark for item in texts.items}
        for item in texts.items:
            report[item.benchmark]["items"] += 1
        for name in texts.too_short:
            report[benchmark_of[name]]["too_short"].append(name)
        removed = [finding for finding in findings if finding["removed"]]
        for name in {finding["item"] for finding in removed}:
            report[benchmark_of[name]]["items_found"] += 1
        for benchmark, _ in {(benchmark_of[finding["item"]], finding["document"]) for finding in removed}:
            report[benchmark][documents] += 1
        return report


class DecontaminateStep(DecideTexts):
    """Removes documents that hold at least `coverage` of an item; the partner of the rejection is the item."""

    VERSION = 4

    def __init__(self, name: str, search: Search) -> None:
        super().__init__(name)
        self.search = search

    def decide_texts(self, table: pa.Table) -> tuple[Rejections, list[dict[str, Any]]]:
        """Also returns every pair of a document and an item from a quarter of the item on."""
        leaks, limit = self.search.leaks(table), self.search.settings.coverage
        best: dict[int, Leak] = {}
        for leak in leaks:
            if leak.coverage >= limit and (leak.row not in best or leak.coverage > best[leak.row].coverage):
                best[leak.row] = leak
        rows = sorted(best)
        values = np.array([best[row].coverage for row in rows])
        partners = np.array([best[row].name for row in rows], object)
        rejections = Rejections.of(np.array(rows, np.int64), "benchmark_item", values, limit, partners)
        return rejections, self.search.findings(leaks, table)


class CutItemsStep(Edit):
    """Cuts the spans of leaked items out of the documents; what is left of a document stays."""

    alone = False
    VERSION = 3

    def __init__(self, name: str, search: Search) -> None:
        super().__init__(name)
        self.search = search

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Overlapping spans of several items are cut as one."""
        leaks, texts = self.search.leaks(table), texts_of(table)
        found: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for leak in leaks:
            if leak.coverage >= self.search.settings.coverage:
                found[leak.row] += leak.spans
        spans = []
        for row in sorted(found):
            text = texts[row].as_py()
            spans += [(row, start, _behind_marks(text, start, end)) for start, end in _joined(found[row])]
        columns = np.array(spans, np.int64).reshape(-1, 3).T
        table, log = CutEdit(self.name, "benchmark_item", Spans(*columns)).edit(table)
        log.findings = self.search.findings(leaks, table)
        return table, log


def _joined(spans: Collection[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


_ENDS = frozenset(".!?…。！？")
_OPENED = {")": "(", "]": "[", "}": "{", "）": "（", "】": "【", "》": "《", "」": "「", "』": "『", "”": "“", "’": "‘"}
_OPENED |= {mark: mark for mark in "\"'`$"}
"""Which mark opens what this one closes."""


def _behind_marks(text: str, start: int, end: int) -> int:
    """Behind the marks that close the span: what ends a sentence, and what closes a bracket or quotation within it."""
    while end < len(text) and (text[end] in _ENDS or _closes(text, start, end)):
        end += 1
    return end


def _closes(text: str, start: int, end: int) -> bool:
    """Whether the mark at `end` closes what is open in [start, end)."""
    mark = text[end]
    opened = _OPENED.get(mark)
    if opened is None:
        return False
    count = text.count(opened, start, end)
    return count % 2 == 1 if opened == mark else count > text.count(mark, start, end)


def _overlaps(hits: Hits, index: _Index) -> _Overlaps:
    """How much of each item the documents hold, of every item that shares a text with one: arrays, as most of them are
    small (a benchmark has an n-gram in common with many a document).
    """
    texts = index.texts
    # A text's spans in a document stand together, and all have its coverage there.
    begins = np.flatnonzero(np.diff(hits.row * len(texts.texts) + hits.item, prepend=-1))
    of, item = texts.owners.read(hits.item[begins])
    begin, end = begins[of], np.append(begins[1:], len(hits))[of]
    text, covered = hits.item[begin], hits.coverage[begin].astype(np.float64)
    keys, pair = np.unique(hits.row[begin] * len(texts.items) + item, return_inverse=True)
    mean = np.bincount(pair, covered * texts.sizes[text] / index.totals[item], len(keys))
    single = np.zeros(len(keys))
    np.maximum.at(single, pair, np.where(texts.alone[text], covered, 0))
    return _Overlaps(*np.divmod(keys, len(texts.items)), np.maximum(mean, single), np.stack([pair, begin, end], axis=1))


@functools.lru_cache(maxsize=1)
def _texts(settings_json: str, benchmarks: tuple[InputFile, ...]) -> _Texts:
    """Read once a process."""
    settings = DecontaminateSettings(**json.loads(settings_json))
    items = load_items(benchmarks, settings)
    numbers = {text: i for i, text in enumerate(dict.fromkeys(text for item in items for text in item.texts))}
    units = _units(list(numbers))
    is_long = _testable(units, settings)[0].tolist()
    owners: dict[str, list[int]] = defaultdict(list)
    together: dict[str, list[int]] = defaultdict(list)
    parts: dict[str, list[int]] = {}
    too_short = []
    for number, item in enumerate(items):
        own = [numbers[text] for text in item.texts]
        if not any(is_long[i] for i in own):
            too_short.append(item.name)
            continue
        for text in item.texts:
            owners[text].append(number)
        if len(item.texts) > 1:
            joined = "\n".join(item.texts)  # of which no unit crosses a line
            together[joined].append(number)
            parts[joined] = own
    begins = np.cumsum([0, *map(len, parts.values())])[:-1]
    of_parts = units[list(chain.from_iterable(parts.values()))]
    of_all = [units[[numbers[text] for text in owners]], *([np.add.reduceat(of_parts, begins)] if parts else [])]
    alone = _testable(np.concatenate(of_all), settings)[1]
    sizes = np.array([len(text) for text in owners] + [0] * len(together), np.float64)
    of_texts = Lists.of([*owners.values(), *together.values()])
    return _Texts(items, of_texts, alone, sizes, [*owners, *together], too_short)


def _units(texts: Sequence[str]) -> np.ndarray:
    """int64 [N, 2]: how many units each text has, and how many of them are single Han or kana characters."""
    import pyarrow as pa

    from tilth.text import unit_counts

    return unit_counts(pa.array(texts, pa.large_string()))


def _testable(units: np.ndarray, settings: DecontaminateSettings) -> tuple[np.ndarray, np.ndarray]:
    """Of texts with these `_units`, bool [N]: whether `Ngrams` looks for each; whether it identifies an item alone."""
    count, alone = units.T
    n = np.where(2 * alone > count, settings.characters, settings.words)  # mostly single characters: Chinese
    return (2 * count >= n) & (count > 0), count >= 2 * n - 1


@functools.lru_cache(maxsize=1)
def _index(settings_json: str, benchmarks: tuple[InputFile, ...]) -> _Index:
    """Built once a process."""
    import pyarrow as pa

    from tilth.text import Ngrams

    settings = DecontaminateSettings(**json.loads(settings_json))
    found = _texts(settings_json, benchmarks)
    ngrams = Ngrams.build(pa.array(found.texts, pa.large_string()), settings.words, settings.characters)
    sizes = np.repeat(np.where(ngrams.lengths > 0, found.sizes, 0), found.owners.counts)
    return _Index(found, ngrams, np.bincount(found.owners.items, sizes, len(found.items)))
