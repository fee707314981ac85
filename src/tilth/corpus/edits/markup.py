"""Markup: tags, comments, entities, Markdown's and BBCode's marks out of running text; what they enclose stays.

Only what is surely markup goes: a tag has a name that HTML knows, so `a < b` and `List<String>` stay as they are, and
what is unclosed stays too. Where Markdown is asked for, its code blocks and code spans are not touched.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tilth.base.expression import Condition
from tilth.corpus.document import rows_where, texts_of
from tilth.corpus.settings import MarkupSettings
from tilth.corpus.steps import Edit, EditLog, Place, edit_rows

if TYPE_CHECKING:
    import pyarrow as pa

Replacement = tuple[str, int, int, str]
"""(kind, start, end, what stands there afterwards)"""

_HIDDEN = "script style template noscript svg iframe object"
_BLOCK = (
    "address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li link main menu meta nav ol "
    "optgroup option p pre search section select summary table tbody textarea tfoot thead title tr ul video audio"
)
_CELL = "td th"
_INLINE = (
    "a abbr acronym area b base basefont bdi bdo big button canvas cite code col colgroup data datalist del dfn em "
    "embed font frame i img input ins kbd label map mark marquee meter nobr noframes output param picture progress q "
    "rb rp rt rtc ruby s samp slot small source span strike strong sub sup time track tt u var wbr"
)


def _any(names: str) -> str:
    return "|".join(sorted(names.split(), key=len, reverse=True))


_ATTRIBUTES = r"""(?=[\s/>])(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+>"""
_TARGET = r"\((?:https?:|ftp:|mailto:|www\.|[./#])[^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"\n]*\")?\)"

_HTML = rf"""
    (?P<comment><!--(?:(?!-->|<!--).)*+-->|<!doctype[^<>]*>|<\?xml[^<>]*\?>)
  | (?P<hidden><(?P<hides>{_any(_HIDDEN)}){_ATTRIBUTES}(?:(?!</?(?P=hides)\b).)*+</(?P=hides)\s*>)
  | (?P<block></?(?:{_any(_BLOCK)}){_ATTRIBUTES})
  | (?P<cell></?(?:{_any(_CELL)}){_ATTRIBUTES})
  | (?P<tag></?(?:{_any(_INLINE)}){_ATTRIBUTES})
  | (?P<entity>&(?:\#\d{{1,7}}|\#x[0-9a-f]{{1,6}}|[a-z][a-z0-9]{{1,30}});)
"""
_MARKDOWN = rf"""
    (?P<code>^[ \t]*(?P<fence>```+|~~~+)[^\n]*\n(?:(?!^[ \t]*(?P=fence)).)*+^[ \t]*(?P=fence)[^\n]*
      | (?P<tick>`+)(?!`)[^\n]{{1,500}}?(?<!`)(?P=tick)(?!`))
  | (?P<link>!?\[(?P<label>(?:[^\[\]\n]|!\[[^\[\]\n]*\]{_TARGET})*)\]{_TARGET})
  | (?P<strong>(?<![A-Za-z0-9*])\*\*(?=[^\s*])(?P<bold>[^\n]{{1,500}}?)(?<=[^\s*])\*\*(?![A-Za-z0-9*]))
  | (?P<heading>^[ ]{{0,3}}\#{{1,6}}[ \t]+(?=\S))
  | (?P<rule>^[ ]{{0,3}}(?:(?:\*[ \t]*){{3,}}|(?:-[ \t]*){{3,}}|(?:_[ \t]*){{3,}})$\n?)
"""
_BBCODE = r"""
    (?P<picture>\[img(?:=[^\[\]\n]*)?\][^\[\]\s]*\[/img\])
  | (?P<bbcode>\[/?(?:b|i|u|s|url|email|quote|code|size|color|font|align|center|left|right|list|table|tr|td|attach|hide)
      (?:=[^\[\]\n]*)?\])
"""
# Nothing is looked for behind an opening of its own kind, so that unclosed ones cannot make the search quadratic.
# Markdown comes first: its code is kept from the others.
_PATTERNS = {"markdown": _MARKDOWN, "html": _HTML, "bbcode": _BBCODE}
_INNER = {"link": "label", "strong": "bold"}
"""Kinds of which a part stays, which may hold markup itself."""
_TELLING = {"markdown": r"\]\(|\*\*|(?m:^ {0,3}#)|(?m:^[ *_-]+$)", "html": r"<[A-Za-z/!?]|&[#A-Za-z]", "bbcode": r"\[/"}


class MarkupStep(Edit):
    """Takes markup out of texts; the places are logged by kind."""

    def __init__(self, name: str, settings: MarkupSettings) -> None:
        super().__init__(name)
        kinds = [kind for kind in _PATTERNS if kind in settings.kinds]
        flags = re.VERBOSE | re.DOTALL | re.MULTILINE | re.IGNORECASE
        self._pattern = re.compile("|".join(_PATTERNS[kind] for kind in kinds), flags)
        self._telling = "|".join(_TELLING[kind] for kind in kinds)
        self._where = Condition(settings.where) if settings.where else None

    def needs(self) -> list[str]:
        """The columns of its condition."""
        return sorted(self._where.names) if self._where else []

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Only documents with a sign of markup take the slow path."""
        import pyarrow.compute as pc

        asked = pc.match_substring_regex(texts_of(table), self._telling).to_numpy(zero_copy_only=False)
        if self._where is not None:
            asked &= rows_where(self._where, table)
        return edit_rows(table, np.flatnonzero(asked), self.strip)

    def strip(self, text: str) -> tuple[str, list[Place]]:
        """The text without markup, and where it stood."""
        pieces: list[str] = []
        places: list[Place] = []
        done, at_line_start = 0, True
        for kind, start, end, instead in self._find(text, 0, len(text)):
            between = text[done:start]
            at_line_start = between.endswith("\n") if between else at_line_start
            if instead == "\n" and (at_line_start or text.startswith("\n", end)):
                instead = ""  # a block begins a line of its own: one line end is enough
            pieces += [between, instead]
            at_line_start = instead.endswith("\n") if instead else at_line_start
            places.append((kind, start, end))
            done = end
        return "".join([*pieces, text[done:]]), places

    def _find(self, text: str, begin: int, stop: int) -> Iterator[Replacement]:
        """What is to be replaced in text[begin:stop], in order."""
        for match in self._pattern.finditer(text, begin, stop):
            kind, (start, end) = match.lastgroup or "", match.span()
            if kind in _INNER:
                first, last = match.span(_INNER[kind])
                yield kind, start, first, ""
                yield from self._find(text, first, last)
                yield kind, last, end, ""
            elif kind == "entity":
                meant = html.unescape(match[0])
                if meant != match[0]:
                    yield kind, start, end, " " if meant == "\xa0" else meant
            elif kind != "code":
                yield kind, start, end, _INSTEAD.get(kind, "")


_INSTEAD = {"block": "\n", "cell": " "}
