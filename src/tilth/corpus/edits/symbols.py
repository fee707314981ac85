"""Emoji and other pictures into words: English by their Unicode names, Chinese by our own list of frequent ones."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.document import texts_of
from tilth.corpus.edits.symbol_names import CHINESE, FLAGS
from tilth.corpus.settings import SymbolsSettings
from tilth.corpus.steps import Edit, EditLog, Place, edit_rows

if TYPE_CHECKING:
    import pyarrow as pa

_PICTURES = "\u231a\u231b\u23e9-\u23fa\u2600-\u27bf\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001faff"
_FLAG = "[\U0001f1e6-\U0001f1ff]"
_TAIL = "(?:[\ufe0e\ufe0f]|[\U0001f3fb-\U0001f3ff])*"
_ONE = f"(?:{_FLAG}{_FLAG}|[{_PICTURES}]){_TAIL}"
_FOUND = re.compile(f"(?P<key>[0-9#*])\ufe0f?\u20e3|{_ONE}(?:\u200d{_ONE})*")
_NAMELESS = re.compile("[\u200d\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
_CHINESE = ("zh", "lzh", "yue")


class SymbolsStep(Edit):
    """Writes what pictures show: 😀 becomes `[grinning face]`, or `[笑脸]` in a Chinese document.

    A picture is a character of the blocks of emoji, dingbats and miscellaneous symbols; skin colours and variants are
    dropped, pictures joined into one are named one after another, a flag by its country's letters, a keycap by its key.
    """

    def __init__(self, name: str, settings: SymbolsSettings) -> None:
        super().__init__(name)
        self.settings = settings

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Only documents with a picture take the slow path."""
        import pyarrow.compute as pc

        pattern = f"[{_PICTURES}\u20e3]"
        rows = np.flatnonzero(pc.match_substring_regex(texts_of(table), pattern).to_numpy(zero_copy_only=False))
        languages = table.column("language")
        todo = iter(rows.tolist())
        return edit_rows(table, rows, lambda text: self.spell(text, languages[next(todo)].as_py() in _CHINESE))

    def spell(self, text: str, chinese: bool) -> tuple[str, list[Place]]:
        """The text with words for its pictures, and where those stood."""
        pieces: list[str] = []
        places: list[Place] = []
        done = 0
        for match in _FOUND.finditer(text):
            name = _name(match, chinese)
            if not name and self.settings.unnamed == "keep":
                continue
            places.append(("picture" if name else "unnamed", match.start(), match.end()))
            pieces += [text[done : match.start()], self.settings.form.replace("{name}", name) if name else ""]
            done = match.end()
        return "".join([*pieces, text[done:]]), places


def _name(match: re.Match[str], chinese: bool) -> str:
    """What the picture shows; empty where it has no name in the language."""
    if match["key"]:
        return match["key"]
    parts = [_part(part, chinese) for part in match[0].split("\u200d")]
    if not all(parts):
        return ""
    return ("、" if chinese else ", ").join(parts)


def _part(part: str, chinese: bool) -> str:
    character = _NAMELESS.sub("", part) or part[:1]
    if re.fullmatch(_FLAG + _FLAG, character):
        letters = "".join(chr(ord(c) - 0x1F1E6 + ord("A")) for c in character)
        return f"{FLAGS.get(letters, letters)}旗" if chinese else f"flag of {letters}"
    if chinese:
        return CHINESE.get(character[0], "")
    return unicodedata.name(character[0], "").lower()
