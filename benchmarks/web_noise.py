"""Web noise for `cleaning.py`: clean pages in, the pages of a crawl out, every choice a function of the page's id.

Furniture comes from the <nav>, <header>, <footer> and <aside> of real English pages, from invented Chinese lines; the
rest (wrong decoding, search words, repetition, copies, passages on many pages) is made of the pages themselves.
"""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import zstandard
from tests.corpus.chinese_damage import ADVERTISING, KEYWORDS, KINDS, navigation

Page = dict[str, str]
"""id, text, domain, language."""

FURNITURE, PASSAGE, MOJIBAKE = 0.50, 0.15, 0.08
"""Shares of the pages with lines of page furniture, with a passage that many pages carry, decoded wrongly."""
COPIED, MOST_COPIES = 0.30, 4
"""Share of the pages that appear again, and how often at most: half of the copies exact, half with small changes."""
SPAM, REPEATING = 0.12, 0.06
"""Pages of search words, and pages that repeat a phrase, for each clean page."""
PASSAGES = 40
"""Different passages that many pages carry."""


def read(path: Path) -> Iterator[dict[str, str]]:
    """The records of a packed JSON Lines file."""
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        yield from map(json.loads, io.TextIOWrapper(stream, encoding="utf-8"))


class _Furniture(HTMLParser):
    """Collects the lines of text inside page furniture."""

    FRAMES = frozenset({"nav", "header", "footer", "aside"})
    SILENT = frozenset({"script", "style", "noscript"})

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._frames = self._silent = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._frames += tag in self.FRAMES
        self._silent += tag in self.SILENT

    def handle_endtag(self, tag: str) -> None:
        self._frames = max(0, self._frames - (tag in self.FRAMES))
        self._silent = max(0, self._silent - (tag in self.SILENT))

    def handle_data(self, data: str) -> None:
        line = " ".join(data.split())
        if self._frames and not self._silent and 2 < len(line) < 200:
            self.lines.append(line)


def english_furniture(web: Path) -> list[str]:
    """Lines of the furniture of real English pages, as often as they stand there."""
    lines: list[str] = []
    for file in sorted(web.glob("*.jsonl.zst")):
        for record in read(file):
            page = record.get("html") or ""
            if page.count(" the ") > 20:
                parser = _Furniture()
                parser.feed(page)
                lines += [line for line in parser.lines if line.isascii()]
    return lines


def crawl(pages: list[Page], furniture: list[str]) -> Iterator[Page]:
    """The pages as a crawl would bring them, in a random order."""
    rng = random.Random("crawl")
    passages: dict[str, list[str]] = {}
    for page in rng.sample(pages, len(pages)):
        found = passages.setdefault(page["language"], [])
        start = rng.randrange(max(1, len(page["text"]) // 2))
        length = 150 if page["language"] == "zh" else 500
        if len(found) < PASSAGES and len(page["text"]) > 2 * length:
            found.append(page["text"][start : start + length].replace("\n", " ").strip())
    made = [seen for page in pages for seen in _seen(page, furniture, passages[page["language"]])]
    rng.shuffle(made)
    yield from made


def _seen(page: Page, furniture: list[str], passages: list[str]) -> Iterator[Page]:
    """A page with its noise, its copies, and the worthless pages beside it."""
    rng = random.Random(f"noise {page['id']}")

    def put(name: str, text: str) -> Page:
        return {**page, "id": f"{page['id']}{name}", "text": text}

    yield put("", _noisy(page, furniture, passages, rng))
    if rng.random() < COPIED:
        for number in range(rng.randint(1, MOST_COPIES)):
            exact = rng.random() < 0.5
            yield put(f"+copy{number}", page["text"] if exact else _edited(page["text"], rng))
    if rng.random() < SPAM:
        yield put("+spam", _spam(page, furniture, rng))
    if rng.random() < REPEATING:
        yield put("+again", _repeating(page, rng))


def _noisy(page: Page, furniture: list[str], passages: list[str], rng: random.Random) -> str:
    text, chinese = page["text"], page["language"] == "zh"
    if rng.random() < PASSAGE:
        text = _with_lines(text, [rng.choice(passages)], rng)
    if rng.random() < FURNITURE:
        lines = navigation("", rng)[1] if chinese else rng.choices(furniture, k=rng.randint(5, 30))
        text = _with_lines(text, lines, rng)
    if rng.random() < MOJIBAKE:
        wrong = rng.choice(("gbk", "cp1252", "latin-1")) if chinese else "cp1252"
        text = text.encode().decode(wrong, "replace")
    return text


def _with_lines(text: str, lines: list[str], rng: random.Random) -> str:
    """Lines above, below and, now and then, between the paragraphs."""
    paragraphs = text.split("\n")
    for line in lines:
        paragraphs.insert(rng.choice((0, len(paragraphs), rng.randint(0, len(paragraphs)))), line)
    return "\n".join(paragraphs)


def _edited(text: str, rng: random.Random) -> str:
    """A copy with a word or figure changed here and there, and a line about its origin."""
    pieces = re.split(r"(\s+|(?<=[，。]))", text)
    for _ in range(max(1, len(pieces) // 200)):
        pieces[rng.randrange(len(pieces))] = str(rng.randint(1, 999))
    return f"{''.join(pieces)}\n{rng.randint(2005, 2023)}-{rng.randint(10, 12)}-{rng.randint(10, 28)}"


def _spam(page: Page, furniture: list[str], rng: random.Random) -> str:
    """Search words with a scrap of text."""
    scrap, size = page["text"][: rng.randint(50, 300)], rng.randint(100, 400)
    if page["language"] == "zh":
        words = rng.choices(rng.sample(KEYWORDS, 25), k=size // 2)
        advertisement = re.sub(r"\{\w+\}", lambda _: rng.choice(KEYWORDS), rng.choice(ADVERTISING))
        return f"{rng.choice((' ', '，', '|')).join(words)}\n{advertisement}\n{scrap}"
    words = rng.choices([word for line in rng.sample(furniture, 25) for word in line.split()], k=size)
    return f"{rng.choice((' ', ', ', ' | ')).join(words)}\n{scrap}"


def _repeating(page: Page, rng: random.Random) -> str:
    """A few sentences of the page, again and again."""
    if page["language"] == "zh":
        return str(KINDS["phrase_repetition"](page["text"], rng))
    return " ".join(rng.choice(_sentences(page["text"])) for _ in range(4)) * rng.randint(4, 20)


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", text) if sentence]
