"""Repair: Unicode normalisation and characters that nobody sees, each change located."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.document import texts_of
from tilth.corpus.settings import RepairSettings
from tilth.corpus.steps import Edit, EditLog, Place, edit_rows

if TYPE_CHECKING:
    import pyarrow as pa

_NEWLINES = "\r\n\x0b\x0c\x85\u2028\u2029"
_REMOVED = {
    "control": "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff",
    "zero-width": "\u200b\u2060\u00ad",
    "bom": "\ufeff",
}
_UNWANTED = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]|[" + "".join(_REMOVED.values()) + "]")
_KINDS = {kind: re.compile(f"[{characters}]") for kind, characters in _REMOVED.items()}
_RUN = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+")


class RepairStep(Edit):
    """Line ends become `\\n`, control and zero-width characters and byte order marks go, the rest becomes NFC.

    Joiners (U+200C, U+200D) and direction marks stay: emoji, Persian and Indic scripts need them. Tabs stay. The
    result is a fixed point: repairing it again changes nothing.
    """

    def __init__(self, name: str, settings: RepairSettings) -> None:
        super().__init__(name)
        self.settings = settings

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Only documents in which something may be wrong take the slow path."""
        from tilth.text import control_flags

        return edit_rows(table, np.flatnonzero(control_flags(texts_of(table))), self.repair)

    def repair(self, text: str) -> tuple[str, list[Place]]:
        """The repaired text and the places that changed."""
        pieces: list[str] = []
        places: list[Place] = []
        done = 0
        for match in _UNWANTED.finditer(text):
            found = match.group()
            kind = "newline" if found[0] in _NEWLINES else _kind(found)
            places.append((kind, match.start(), match.end()))
            pieces += [text[done : match.start()], "\n" if kind == "newline" else ""]
            done = match.end()
        clean = "".join([*pieces, text[done:]]) if places else text
        if self.settings.normalize == "none" or unicodedata.is_normalized("NFC", clean):
            return clean, places
        return self._normalize(text, clean, places)

    def _normalize(self, text: str, clean: str, places: list[Place]) -> tuple[str, list[Place]]:
        """NFC run by run of non-ASCII characters: ASCII never combines with what stands before it. So it is located."""
        pieces: list[str] = []
        done = 0
        removed = [(start, end - start - (kind == "newline")) for kind, start, end in places]
        origin = _Origins(removed)
        for match in _RUN.finditer(clean):
            run = match.group()
            normal = unicodedata.normalize("NFC", run)
            if normal == run:
                continue
            left, right = _common_ends(run, normal)
            start, end = match.start() + left, match.end() - right
            places.append(("nfc", origin.of(start), origin.of(end - 1) + 1 if end > start else origin.of(start)))
            pieces += [clean[done : match.start()], normal]
            done = match.end()
        return "".join([*pieces, clean[done:]]), sorted(places, key=lambda place: place[1:])


class _Origins:
    """Offsets in a text from which characters were removed, turned into offsets in the text before."""

    def __init__(self, removed: list[tuple[int, int]]) -> None:
        shifts = np.cumsum([0] + [count for _, count in removed])
        self._borders = np.array([start for start, _ in removed], np.int64) - shifts[:-1]
        self._shifts = shifts

    def of(self, offset: int) -> int:
        return int(offset + self._shifts[np.searchsorted(self._borders, offset, side="right")])


def _kind(found: str) -> str:
    return next(kind for kind, pattern in _KINDS.items() if pattern.match(found))


def _common_ends(old: str, new: str) -> tuple[int, int]:
    """How many characters both share at the beginning and, behind that, at the end."""
    room = min(len(old), len(new))
    left = next((i for i in range(room) if old[i] != new[i]), room)
    right = next((i for i in range(room - left) if old[-1 - i] != new[-1 - i]), room - left)
    return left, right
