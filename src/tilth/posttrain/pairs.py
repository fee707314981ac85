"""The pack of preference pairs: the chosen and the rejected document of a pair side by side in one sequence."""

from __future__ import annotations

import numpy as np

from tilth.base.errors import UserError
from tilth.tokens.pack import SEGMENT, Pack, best_fit


def build_pair_pack(lengths: np.ndarray, groups: dict[str, np.ndarray], length: int) -> Pack:
    """Pack pairs of documents into sequences of `length` positions, each within one group; every pair stands once.

    Documents 2i and 2i + 1, of `lengths` tokens, are the chosen and the rejected one of pair i; `groups` maps a name to
    its documents, always both of a pair. Best fit, longest pair first. UserError where one is longer than a sequence.
    """
    packed = {name: _pack_group(np.sort(documents), lengths, length) for name, documents in groups.items()}
    return Pack(length, list(groups), {n: p[0] for n, p in packed.items()}, {n: p[1] for n, p in packed.items()})


def _pack_group(documents: np.ndarray, lengths: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    pairs_P2 = documents.astype(np.int64).reshape(-1, 2) if len(documents) % 2 == 0 else None
    if pairs_P2 is None or (pairs_P2[:, 0] % 2).any() or (pairs_P2[:, 1] != pairs_P2[:, 0] + 1).any():
        raise ValueError("a group holds both documents, 2i and 2i + 1, of each of its pairs")
    sizes_P2 = lengths[pairs_P2].astype(np.int64) - 1
    sizes_P = sizes_P2.sum(1)
    if (sizes_P > length).any():
        pair = int(pairs_P2[np.argmax(sizes_P), 0]) // 2
        raise UserError(
            f"pair {pair} has {sizes_P.max()} positions, a sequence {length}", hint="set a longer sequence_length"
        )
    order = np.argsort(-sizes_P, kind="stable")
    bins, count = best_fit(sizes_P[order], length)
    order = order[np.argsort(bins, kind="stable")]
    segments = np.zeros(2 * len(order), SEGMENT)
    segments["document"], segments["length"] = pairs_P2[order].ravel(), sizes_P2[order].ravel()
    first = 2 * np.concatenate([[0], np.cumsum(np.bincount(bins, minlength=count))]).astype(np.int64)
    return segments, first
