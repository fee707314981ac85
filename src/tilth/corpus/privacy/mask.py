"""Masking: personal data found by form and check digit, replaced by placeholders that keep the text trainable.

A kernel finds the few places of a text that can hold anything, and what (`tilth.text.personal_places`); the patterns
(`patterns`) look for that and only there. Full-width digits and letters are read as those of ASCII.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.document import texts_of
from tilth.corpus.privacy.patterns import Finder
from tilth.corpus.settings import MaskSettings
from tilth.corpus.steps import Edit, EditLog

if TYPE_CHECKING:
    import pyarrow as pa

PLACEHOLDERS = {
    "email": "[EMAIL]",
    "ip": "[IP]",
    "phone": "[PHONE]",
    "resident_id": "[ID]",
    "hk_id": "[HKID]",
    "tw_id": "[TWID]",
    "bank_card": "[CARD]",
    "iban": "[IBAN]",
    "ssn": "[SSN]",
    "qq": "[QQ]",
    "wechat": "[WECHAT]",
    "address": "[ADDRESS]",
}


class MaskStep(Edit):
    """Replaces whatever of `settings.kinds` it finds.

    The statistics stay with the documents: a placeholder stands where a word stood, so that shares move by next to
    nothing, but for that of digits where much of a text is numbers.
    """

    VERSION = 4
    blurs = True

    def __init__(self, name: str, settings: MaskSettings) -> None:
        super().__init__(name)
        self.finder = Finder(settings)

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Find and replace; the log carries the kind and the place, never the value."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from tilth.text import narrow, personal_places

        texts, log = texts_of(table), EditLog()
        rows: list[int] = []
        changed: list[str] = []
        pieces: list[str] = []
        done = 0
        text = ""
        for row, window, offset, core, told in personal_places(narrow(texts), self.finder.signs):
            for kind, start, end in self.finder.find(window, told, core):
                if not rows or rows[-1] != row:
                    if rows:
                        changed.append("".join([*pieces, text[done:]]))
                    rows.append(row)
                    text, pieces, done = texts[row].as_py(), [], 0
                start, end = start + offset, end + offset
                log.add(row, kind, start, end)
                pieces += [text[done:start], PLACEHOLDERS[kind]]
                done = end
        if not rows:
            return table, log
        changed.append("".join([*pieces, text[done:]]))
        mask = np.zeros(len(table), bool)
        mask[rows] = True
        texts = pc.replace_with_mask(texts, pa.array(mask), pa.array(changed, pa.large_string()))
        return table.set_column(table.schema.get_field_index("text"), "text", texts), log
