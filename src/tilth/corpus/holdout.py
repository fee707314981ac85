"""The hold-out: documents kept aside for evaluation, before near-duplicates are looked for across the border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tilth.base.expression import Condition
from tilth.base.keyed import stable_hash
from tilth.corpus.document import HASH
from tilth.corpus.settings import HoldoutSettings
from tilth.corpus.steps import Label, View


class HoldoutStep(Label):
    """Chooses documents by a keyed hash of their text, domain by domain.

    A document's number depends on its text and the key alone. Without `minimum` and `maximum`, adding data moves
    nobody across the border; with them only documents at the margin move.
    """

    def __init__(self, name: str, settings: HoldoutSettings) -> None:
        super().__init__(name)
        self.settings = settings
        self.where = Condition(settings.where) if settings.where else None

    def needs(self) -> Sequence[str]:
        """The content hash, the domain and the columns of the condition."""
        return [HASH, "domain", *(self.where.names if self.where else ())]

    def label(self, view: View) -> np.ndarray:
        """bool [N]: in the hold-out."""
        chosen = np.zeros(len(view), bool)
        if not len(view):
            return chosen
        numbers = keyed_numbers(view.column(HASH), self.settings.key)
        codes, domains = view.codes("domain")
        for code, domain in enumerate(domains):
            if self.settings.domains and domain not in self.settings.domains:
                continue
            rows = np.flatnonzero(codes == code)
            rows = rows[np.argsort(numbers[rows], kind="stable")]
            count = int(np.searchsorted(numbers[rows], self.settings.fraction))
            count = max(count, min(self.settings.minimum, len(rows) // 2))
            if self.settings.maximum is not None:
                count = min(count, self.settings.maximum)
            chosen[rows[:count]] = True
        if self.where:
            chosen |= self.where({name: view.column(name) for name in self.where.names}, len(view))
        return chosen


def keyed_numbers(hashes: np.ndarray, key: str) -> np.ndarray:
    """Numbers in [0, 1), float64 [N], from content hashes (uint8 [N, 16]) and a key."""
    value = hashes.view("<u8")[:, 0] ^ np.uint64(stable_hash(key))
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return (value >> np.uint64(11)).astype(np.float64) / (1 << 53)
