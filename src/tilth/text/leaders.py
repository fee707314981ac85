"""Leader clustering: each document goes to the most similar of those kept before it, or is kept itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.base.jit import READ_I32_2D, READ_I64, READ_U32_2D, WRITE_I64, int64, jit, void


def cluster(
    signatures: np.ndarray, groups: np.ndarray, order: np.ndarray, total: int, needed: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each document its leader, int64 [C] (-1: it is kept), and how many signature values they share, int64 [C].

    `signatures` uint32 [C, S]; `groups` int32 [C, bands]: the groups, of `total` in all, in which a document meets
    others; `order` int64 [C]: who is looked at first; `needed`: equal values from which a document follows a leader.
    Among several leaders the most similar is taken, then the one that came first. Arrays may be memory-mapped.
    """
    leader, equal = np.full(len(order), -1, np.int64), np.zeros(len(order), np.int64)
    _cluster(np.asarray(signatures), np.asarray(groups), np.asarray(order, np.int64), total, needed, leader, equal)
    return leader, equal


@jit(void(READ_U32_2D, READ_I32_2D, READ_I64, int64, int64, WRITE_I64, WRITE_I64))
def _cluster(signatures: Any, groups: Any, order: Any, total: int, needed: int, leader: Any, equal: Any) -> None:
    count, bands = groups.shape
    width = signatures.shape[1]
    head = np.full(total, -1, np.int32)  # latest kept document of a group ...
    before = np.full((count, bands), -1, np.int32)  # ... and for each kept document the one kept before it
    seen = np.full(count, -1, np.int64)
    place = np.empty(count, np.int64)
    for position in range(count):
        this = order[position]
        place[this] = position
        best, best_equal = np.int64(-1), np.int64(needed - 1)
        for band in range(bands):
            other = head[groups[this, band]]
            while other >= 0:
                if seen[other] != position:
                    seen[other] = position
                    matches = np.int64(0)
                    for k in range(width):
                        matches += np.int64(signatures[this, k] == signatures[other, k])
                    if matches > best_equal or (best >= 0 and matches == best_equal and place[other] < place[best]):
                        best, best_equal = np.int64(other), matches
                other = before[other, band]
        if best >= 0:
            leader[this], equal[this] = best, best_equal
            continue
        for band in range(bands):
            group = groups[this, band]
            before[this, band] = head[group]
            head[group] = this
