"""The other side of `rules.py`: run by a Python that has datatrove, spaCy and resiliparse, and knows nothing of Tilth.

    python rules_peer.py extract PAGES.jsonl TEXTS.jsonl     `html` of each record to `text`, its main content
    python rules_peer.py measure DOCS.jsonl OUT.jsonl        statistics and decisions of each document's `text`
    python rules_peer.py tokens DOCS.jsonl OUT.jsonl         the tokens of each document's `text`
    python rules_peer.py time DOCS.jsonl OUT.json            CPU-seconds of each filter over all documents

Statistics are computed with datatrove's own functions, as its filters do, under Tilth's names; every decision is
that of the filter itself, asked alone. So that both stay honest, the decisions that follow from the statistics are
compared with the filter's (`disagreements` in each record, empty where none).
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read(path: str) -> Iterator[dict[str, Any]]:
    with Path(path).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def write(path: str, records: Any) -> None:
    with Path(path).open("w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


def extract(pages: str, out: str) -> None:
    from resiliparse.extract.html2text import extract_plain_text

    texts = ({"id": p["id"], "domain": "pages", "text": extract_plain_text(p["html"], main_content=True)}
             for p in read(pages))  # fmt: skip
    write(out, (text for text in texts if text["text"].strip()))


def filters() -> dict[str, Any]:
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    return {
        "gopher_quality": GopherQualityFilter(),
        "gopher_repetition": GopherRepetitionFilter(),
        "c4": C4QualityFilter(),
        "fineweb": FineWebQualityFilter(),
    }


def decide(filter_: Any, text: str) -> tuple[bool, str]:
    from datatrove.data import Document

    found = filter_.filter(Document(text=text, id="0"))
    return found if isinstance(found, tuple) else (bool(found), "")


class Peer:
    """Statistics and decisions, each text cut into words once."""

    def __init__(self) -> None:
        from datatrove.pipeline.filters import (
            C4QualityFilter,
            c4_filters,
            fineweb_quality_filter,
            gopher_quality_filter,
            gopher_repetition_filter,
        )

        self.filters = filters()
        self.repetition = gopher_repetition_filter
        self._split = gopher_quality_filter.split_into_words
        self._last: tuple[str, list[str]] = ("", [])
        for module in (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
            module.split_into_words = self.words
        self._sentences, self.sentences = c4_filters.split_into_sentences, 0
        c4_filters.split_into_sentences = self._count
        self._known: dict[str, list[str]] = {}
        off = dict.fromkeys(("filter_lorem_ipsum", "filter_curly_bracket"), False)
        self.counting = C4QualityFilter(**off)
        self.lorem = C4QualityFilter(filter_curly_bracket=False)
        self.curly = C4QualityFilter(filter_lorem_ipsum=False)

    def words(self, text: str, language: str) -> list[str]:
        if self._last[0] != text or not self._last[1]:
            self._last = (text, self._split(text, language))
        return self._last[1]

    def _count(self, text: str, language: str) -> list[str]:
        if text not in self._known:
            self._known[text] = self._sentences(text, language)
        self.sentences += len(self._known[text])
        return self._known[text]

    def measure(self, text: str) -> dict[str, Any]:
        self._known.clear()
        decisions = {name: decide(filter_, text) for name, filter_ in self.filters.items()}
        stats = self.quality(text) | self.repeated(text) | self.lines(text) | self.c4(text)
        wrong = [name for name, kept in derived(stats).items() if kept != decisions[name][0]]
        return {"statistics": stats, "decisions": decisions, "disagreements": wrong}

    def quality(self, text: str) -> dict[str, float]:
        from datatrove.utils.text import PUNCTUATION_SET

        quality = self.filters["gopher_quality"]
        words = self.words(text, quality.language)
        real = [word for word in words if any(c not in PUNCTUATION_SET for c in word)]
        lines = text.splitlines()
        tokens, count = max(len(words), 1), max(len(lines), 1)
        return {
            "tokens": len(words),
            "words": len(real),
            "mean_word_length": sum(map(len, real)) / max(len(real), 1),
            "hash_ratio": text.count("#") / tokens,
            "ellipsis_ratio": (text.count("...") + text.count("…")) / tokens,
            "bullet_lines": sum(line.lstrip().startswith(("•", "-")) for line in lines) / count,
            "ellipsis_lines": sum(line.rstrip().endswith(("...", "…")) for line in lines) / count,
            "alphabetic_tokens": sum(any(c.isalpha() for c in word) for word in words) / tokens,
            "stop_words": len(quality.stop_words & set(words)),
        }

    def repeated(self, text: str) -> dict[str, float]:
        tools, size = self.repetition, max(len(text), 1)
        words = self.words(text, self.filters["gopher_repetition"].language)
        paragraphs, lines = re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)
        again, characters = tools.find_duplicates(paragraphs)
        lines_again, line_characters = tools.find_duplicates(lines)
        tops = {n: tools.get_n_grams(words, n) for n in (2, 3, 4)}
        return {
            "duplicate_paragraphs": again / len(paragraphs),
            "duplicate_paragraph_characters": characters / size,
            "duplicate_lines": lines_again / len(lines),
            "duplicate_line_characters": line_characters / size,
            **{f"top_{n}gram": tools.find_top_duplicate(grams) / size if grams else 0.0 for n, grams in tops.items()},
            **{f"duplicate_{n}gram": tools.find_all_duplicate(words, n) / size for n in range(5, 11)},
        }

    def lines(self, text: str) -> dict[str, float]:
        fineweb = self.filters["fineweb"]
        lines = [line for line in text.split("\n") if line.strip()]
        count = max(len(lines), 1)
        stops = tuple(fineweb.stop_chars) if hasattr(fineweb, "stop_chars") else _terminal()
        return {
            "lines": len(lines),
            "terminal_lines": sum(line.endswith(stops) for line in lines) / count,
            "short_lines": sum(len(line) <= fineweb.short_line_length for line in lines) / count,
            "repeated_line_characters": self.repetition.find_duplicates(lines)[1] / max(len(text.replace("\n", "")), 1),
            "newline_ratio": text.count("\n") / max(len(self.words(text, fineweb.language)), 1),
        }

    def c4(self, text: str) -> dict[str, float]:
        self.sentences = 0
        decide(self.counting, text)
        sentences = self.sentences
        return {
            "c4_lorem_ipsum": int(decide(self.lorem, text)[1] == "lorem_ipsum"),
            "c4_curly_brackets": int(decide(self.curly, text)[1] == "curly_bracket"),
            "c4_sentences": sentences,
        }


def _terminal() -> tuple[str, ...]:
    from datatrove.utils.text import TERMINAL_PUNCTUATION

    return tuple(TERMINAL_PUNCTUATION)


def derived(s: dict[str, float]) -> dict[str, bool]:
    """What the published thresholds make of the statistics."""
    return {
        "gopher_quality": 50 <= s["words"] <= 100_000
        and 3 <= s["mean_word_length"] <= 10
        and max(s["hash_ratio"], s["ellipsis_ratio"]) <= 0.1
        and s["bullet_lines"] <= 0.9
        and s["ellipsis_lines"] <= 0.3
        and s["alphabetic_tokens"] >= 0.8
        and s["stop_words"] >= 2,
        "gopher_repetition": max(s["duplicate_paragraphs"], s["duplicate_lines"]) <= 0.3
        and max(s["duplicate_paragraph_characters"], s["duplicate_line_characters"]) <= 0.2
        and all(s[f"top_{n}gram"] <= limit for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16)))
        and all(s[f"duplicate_{n}gram"] <= (20 - n) / 100 for n in range(5, 11)),
        "c4": not s["c4_lorem_ipsum"] and not s["c4_curly_brackets"] and s["c4_sentences"] >= 5,
        "fineweb": s["lines"] > 0
        and s["terminal_lines"] >= 0.12
        and s["short_lines"] <= 0.67
        and s["repeated_line_characters"] <= 0.01
        and s["newline_ratio"] <= 0.3,
    }


def timed(docs: str, out: str) -> None:
    texts = [record["text"] for record in read(docs)]
    size = sum(len(text.encode()) for text in texts)
    found: dict[str, Any] = {"documents": len(texts), "bytes": size}
    for name, filter_ in filters().items():
        decide(filter_, "One line, to load what it loads.")
        start = time.process_time()
        for text in texts:
            decide(filter_, text)
        found[name] = time.process_time() - start
    Path(out).write_text(json.dumps(found))


def main(what: str, source: str, out: str) -> None:
    if what == "extract":
        extract(source, out)
    elif what == "time":
        timed(source, out)
    elif what == "measure":
        peer = Peer()
        write(out, ({"id": record["id"], **peer.measure(record["text"])} for record in read(source)))
    else:
        peer = Peer()
        language = peer.filters["gopher_quality"].language
        write(out, ({"id": r["id"], "tokens": peer.words(r["text"], language)} for r in read(source)))


if __name__ == "__main__":
    main(*sys.argv[1:])
