"""Many lists of numbers in two arrays, read for many of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np


class Lists(NamedTuple):
    """List i is `items[first[i] : first[i] + counts[i]]`; `first` is int64, the others may be narrower."""

    first: np.ndarray
    counts: np.ndarray
    items: np.ndarray

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Lists:
        """int64, in their order."""
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        items = np.fromiter(chain.from_iterable(lists), np.int64, int(counts.sum()))
        return cls(np.cumsum(counts) - counts, counts, items)

    def read(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every item of the lists `which` (int64 [N]), one list after another: where in `which` its list stands, and
        the item.
        """
        counts = self.counts[which]
        ends = np.cumsum(counts, dtype=np.int64)
        place = np.repeat(self.first[which] - ends + counts, counts)
        place += np.arange(len(place))
        return np.repeat(np.arange(len(which)), counts), self.items[place]
