"""Markup out of texts: cases, the standard library's HTML parser as a referee, and what must stay."""

from __future__ import annotations

import random
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.corpus.helpers import assert_conserved, rows, run_chain, table_of, write_jsonl
from tilth.base.errors import UserError
from tilth.corpus.chain import build_chain
from tilth.corpus.edits.markup import MarkupStep
from tilth.corpus.settings import CorpusSettings, MarkupSettings

ALL = MarkupStep("markup", MarkupSettings(kinds=["html", "markdown", "bbcode"]))
HTML = MarkupStep("markup", MarkupSettings())

CASES = [
    ("<p>One <b>bold</b> word.</p><p>Two</p>", "One bold word.\nTwo\n"),
    ("茶<br/>水<BR>\n火", "茶\n水\n火"),
    ('<a href="x>y" title=\'a "b"\'>here</a> &amp; there&nbsp;&#8212;&#x8336;&nosuch;', "here & there —茶&nosuch;"),
    ("<script type='a'>if (a < b) { }</script>after<!-- a comment\n<b> -->", "after"),
    ("<tr><td>a</td><td>b</td></tr>", " a  b \n"),
    ('See [the page](https://a.b/c_(d) "t") and ![a 图](./x.png), [1] and f(x)[0](y).', None),
    ("# 标题\n**重点**是水，2**3 与 4**5 不变。\n---\n***\nend", "标题\n重点是水，2**3 与 4**5 不变。\nend"),
    ("**a [b](http://c) <i>d</i>**", "a b d"),
    ("[![badge](https://a/b.svg)](https://c/d) text", "badge text"),
    (
        "```python\nx = a[0](b) ** <b>\n```\n`<p>` stays, <p>goes",
        "```python\nx = a[0](b) ** <b>\n```\n`<p>` stays, \ngoes",
    ),
    ("[url=http://a.b]这里[/url] [b]粗[/b] [img]http://x/y.png[/img]。[注]", "这里 粗 。[注]"),
]
KEPT = [
    "if a < b and c > d: List<String> x; vector<int> v; <unknown>",
    "R&D, AT&T; Q&A &c. 100 & 200",
    "int main() { a[k](j); b **p; } // # no heading",
    "他说：“<这个>”不对。《书名》（1）",
    "<b unclosed and <!-- open and <script> open",
    "#include <stdio.h>\n#5 is not a heading",
    "snake_case_name __init__ a * b * c",
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_markup_goes_and_what_it_holds_stays(text: str, expected: str | None) -> None:
    found, places = ALL.strip(text)
    assert found == (expected or "See the page and a 图, [1] and f(x)[0](y).")
    assert places == sorted(places, key=lambda place: place[1])
    assert all(0 <= start <= end <= len(text) for _, start, end in places)
    assert ALL.strip(found)[0] == found or "&" in text


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert ALL.strip(text) == (text, [])


class Referee(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: list[str] = []

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_the_parser_of_the_standard_library_reads_the_same_text() -> None:
    rng = random.Random(1)
    words = ["river", "茶叶", "a<b", "R&D", "x", "&lt;tag&gt;", "&copy;", "&#26085;", "\n", " ", "3 > 2"]
    tags = ["p", "b", "div", "span", "li", "h2", "a", "td", "em", "blockquote"]
    for _ in range(500):
        text = ""
        for _ in range(rng.randrange(1, 30)):
            tag = rng.choice(tags)
            attributes = rng.choice(["", ' class="a b"', " id='x>y'", ' href="/a?b=1&c=2"', " hidden"])
            text += rng.choice([f"<{tag}{attributes}>", f"</{tag}>", f"<{tag}{attributes}/>", "<br>", "<!-- no -->"])
            text += " ".join(rng.choices(words, k=rng.randrange(4))).replace("a<b", "a &lt; b")
        referee = Referee()
        referee.feed(text)
        referee.close()
        assert "".join(HTML.strip(text)[0].split()) == "".join("".join(referee.said).replace("\xa0", " ").split())


def test_the_commonmark_parser_reads_the_same_text() -> None:
    markdown_it = pytest.importorskip("markdown_it")
    step = MarkupStep("markup", MarkupSettings(kinds=["markdown"]))
    pieces = ["**bold words**", "[label](https://a.b/c)", "plain, 中文。", "![图](./a.png)", "**[both](http://x.y)**"]
    rng = random.Random(2)
    for _ in range(200):
        lines = [rng.choice(["", "# ", "## "]) + " ".join(rng.choices(pieces, k=3)) for _ in range(4)]
        tokens = markdown_it.MarkdownIt().parse("\n\n".join(lines))
        said = [_words(child) for token in tokens for child in token.children or ()]
        assert "".join(step.strip("\n\n".join(lines))[0].split()) == "".join("".join(said).split())


def _words(token) -> str:
    return "".join(map(_words, token.children)) if token.children else token.content


def test_the_step_in_a_chain_says_what_it_changed_and_where(tmp_path: Path) -> None:
    records = [
        {"id": "page", "domain": "web", "text": "<p>An old bridge&nbsp;stood here.</p>"},
        {"id": "茶", "domain": "web", "text": "清明前后<br>采茶。"},
        {"id": "code", "domain": "code", "text": "html = '<p>' + text + '</p>'"},
    ]
    write_jsonl(tmp_path / "a.jsonl", records)
    chosen = CorpusSettings.model_validate(
        {"sources": [{"path": "a.jsonl", "domain": "{field:domain}"}], "steps": ["markup", "measure"]}
        | {"markup": {"where": "domain == 'web'"}, "holdout": {"fraction": 0}}
    )
    assert_conserved(run_chain(tmp_path, chosen, base=tmp_path))
    texts = {row["id"]: row["text"] for row in rows(tmp_path / "corpus" / "documents")}
    assert texts == {"page": "An old bridge stood here.\n", "茶": "清明前后\n采茶。", "code": records[2]["text"]}
    edits = [(row["id"], row["kind"], row["start"], row["end"]) for row in rows(tmp_path / "corpus" / "edits")]
    assert ("茶", "block", 4, 8) in edits
    assert not [edit for edit in edits if edit[0] == "code"]


def test_a_condition_over_a_column_that_is_not_there_is_refused() -> None:
    data = {"sources": ["a.jsonl"], "steps": ["markup", "measure"], "markup": {"where": "domian == 'web'"}}
    with pytest.raises(UserError, match="domian"):
        build_chain(CorpusSettings.model_validate(data), [])


def test_whole_tables() -> None:
    table, log = HTML.edit(table_of(["plain", "a<br>b"]))
    assert table.column("text").to_pylist() == ["plain", "a\nb"]
    assert (log.rows, log.kinds, log.starts, log.ends) == ([1], ["block"], [1], [5])
