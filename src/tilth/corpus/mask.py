"""Masking: personal data found by form and check digit, replaced by placeholders that keep the text trainable.

Kernels find the few places of a text that can hold anything (`tilth.text.personal_places`); the patterns
(`mask_patterns`) look only there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.document import HASH, MINHASH, texts_of
from tilth.corpus.mask_patterns import Finder
from tilth.corpus.settings import MaskSettings
from tilth.corpus.steps import Edit, EditLog

if TYPE_CHECKING:
    import pyarrow as pa

PLACEHOLDERS = {
    "email": "[EMAIL]",
    "ip": "[IP]",
    "phone": "[PHONE]",
    "resident_id": "[ID]",
    "bank_card": "[CARD]",
}


class MaskStep(Edit):
    """Replaces e-mail addresses, IP addresses, phone numbers, Chinese resident ids and bank cards.

    The hash and the signature become untrue. The statistics go on as measured: a placeholder stands where a word
    stood, so that shares move by next to nothing, but for that of digits where much of a text is numbers.
    """

    invalidates = (HASH, MINHASH)

    def __init__(self, name: str, settings: MaskSettings) -> None:
        super().__init__(name)
        self.finder = Finder(settings)

    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """Find and replace; the log carries the kind and the place, never the value."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from tilth.text import personal_places

        texts, log = texts_of(table), EditLog()
        rows: list[int] = []
        changed: list[str] = []
        pieces: list[str] = []
        done = 0
        text = ""
        for row, window, offset in personal_places(texts):
            for kind, start, end in self.finder.find(window):
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
