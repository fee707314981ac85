"""Decontamination: documents that hold benchmark items are removed, and the overlap is reported item by item.

An item's texts (question, options, answer, …) are cut into n-grams of 8 words or 16 Chinese characters; 8 is what Llama
2's contamination study used (Touvron et al., 2023, arXiv:2307.09288, appendix A.6). A text's coverage is the share of
its n-grams that stand in the document; an item's coverage is the mean over its texts, weighted by their length, or the
coverage of a single text that is long enough to identify the item alone (a leaked question without its answer).
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.corpus.benchmarks import Item, load_items
from tilth.corpus.document import texts_of
from tilth.corpus.settings import DecontaminateSettings
from tilth.corpus.sources import InputFile
from tilth.corpus.steps import DecideTexts, Rejections

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.text import Ngrams

_REPORTED = 0.25
"""Coverage from which a document and an item are listed together, removed or not."""


@dataclass(frozen=True)
class _Texts:
    """The items' texts, each once."""

    items: list[Item]
    owners: dict[str, list[int]]
    """For each text the items that have it ..."""
    alone: np.ndarray
    """... and whether it identifies them alone: it has at least 2 n - 1 units."""
    too_short: list[str]
    """Names of items without any text of n units, which would match by chance."""


@dataclass(frozen=True)
class _Index:
    """The texts, ready to be looked for."""

    texts: _Texts
    owners: list[list[int]]
    ngrams: Ngrams
    sizes: np.ndarray
    """Characters of each text."""
    totals: np.ndarray
    """For each item the characters of its texts that can be looked for."""


class DecontaminateStep(DecideTexts):
    """Removes documents that hold at least `coverage` of an item; the partner of the rejection is the item."""

    VERSION = 2

    def __init__(self, name: str, settings: DecontaminateSettings, benchmarks: Sequence[InputFile]) -> None:
        super().__init__(name)
        self.settings, self.benchmarks = settings, tuple(benchmarks)

    def decide_texts(self, table: pa.Table) -> tuple[Rejections, list[dict[str, Any]]]:
        """Also returns every pair of a document and an item from a quarter of the item on."""
        index = _index(self.settings.model_dump_json(), self.benchmarks)
        found = self._coverages(index, table)
        ids = table.column("id")
        best: dict[int, tuple[float, int]] = {}
        findings = []
        for (row, item), coverage in sorted(found.items()):
            removed = coverage >= self.settings.coverage
            if removed and coverage > best.get(row, (0.0, 0))[0]:
                best[row] = (coverage, item)
            if removed or coverage >= _REPORTED:
                name = index.texts.items[item].name
                findings.append({"item": name, "document": ids[row].as_py(), "coverage": coverage, "removed": removed})
        rows = np.array(sorted(best), np.int64)
        values = np.array([best[row][0] for row in rows.tolist()])
        partners = np.array([index.texts.items[best[row][1]].name for row in rows.tolist()], object)
        return Rejections.of(rows, "benchmark_item", values, self.settings.coverage, partners), findings

    def _coverages(self, index: _Index, table: pa.Table) -> dict[tuple[int, int], float]:
        """The coverage of every item of which any n-gram stands in a row, rounded so that it prints as it compares."""
        hits = index.ngrams.hits(texts_of(table))
        pairs, first = np.unique(np.stack([hits.row, hits.item], axis=1), axis=0, return_index=True)
        weighted: dict[tuple[int, int], float] = defaultdict(float)
        single: dict[tuple[int, int], float] = defaultdict(float)
        for (row, text), coverage in zip(pairs.tolist(), hits.coverage[first].tolist(), strict=True):
            for item in index.owners[text]:
                key = (row, item)
                weighted[key] += coverage * float(index.sizes[text]) / float(index.totals[item])
                if index.texts.alone[text]:
                    single[key] = max(single[key], coverage)
        return {key: round(max(mean, single[key]), 4) for key, mean in weighted.items()}

    def summary(self, findings: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Per benchmark: items, those found and the documents removed for them, and the items too short to look for."""
        texts = _texts(self.settings.model_dump_json(), self.benchmarks)
        report: dict[str, Any] = {
            file.name: {"items": 0, "items_found": 0, "documents_removed": 0, "too_short": []}
            for file in self.benchmarks
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
            report[benchmark]["documents_removed"] += 1
        return report


@functools.lru_cache(maxsize=1)
def _texts(settings_json: str, benchmarks: tuple[InputFile, ...]) -> _Texts:
    """Read once a process."""
    import pyarrow as pa

    from tilth.text import unit_counts

    settings = DecontaminateSettings(**json.loads(settings_json))
    items = load_items(benchmarks, settings)
    every = list(dict.fromkeys(text for item in items for text in item.texts))
    count, alone = unit_counts(pa.array(every, pa.large_string())).T
    n = np.where(2 * alone > count, settings.characters, settings.words)  # mostly single characters: Chinese
    identifies = dict(zip(every, count >= 2 * n - 1, strict=True))
    long_enough = dict(zip(every, count >= n, strict=True))
    owners: dict[str, list[int]] = defaultdict(list)
    too_short = []
    for number, item in enumerate(items):
        if any(long_enough[text] for text in item.texts):
            for text in item.texts:
                owners[text].append(number)
        else:
            too_short.append(item.name)
    return _Texts(items, dict(owners), np.array([identifies[text] for text in owners], bool), too_short)


@functools.lru_cache(maxsize=1)
def _index(settings_json: str, benchmarks: tuple[InputFile, ...]) -> _Index:
    """Built once a process."""
    import pyarrow as pa

    from tilth.text import Ngrams

    settings = DecontaminateSettings(**json.loads(settings_json))
    found = _texts(settings_json, benchmarks)
    texts, owners = list(found.owners), list(found.owners.values())
    ngrams = Ngrams.build(pa.array(texts, pa.large_string()), settings.words, settings.characters)
    sizes = np.array([len(text) for text in texts], np.float64)
    totals = np.zeros(len(found.items))
    for size, length, whose in zip(sizes, ngrams.lengths, owners, strict=True):
        if length:
            totals[whose] += size
    return _Index(found, owners, ngrams, sizes, totals)
