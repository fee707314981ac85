"""Whole tensors shared out among processes: which one keeps the states of each."""

from __future__ import annotations

from collections.abc import Sequence

UNDER_WAY = 2**23
"""Elements of gradients on their way to their owners at once (or one gradient): 32 MiB in fp32."""


def owners(sizes: Sequence[int], ranks: int) -> list[int]:
    """Which of `ranks` each of these whole tensors belongs to: the largest first, each to whom has least by then."""
    loads, found = [0] * ranks, [0] * len(sizes)
    for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index], index)):
        found[index] = min(range(ranks), key=lambda rank: (loads[rank], rank))
        loads[found[index]] += sizes[index]
    return found
