"""Sequences for training: inputs, targets and document borders, read through the pack index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tilth.tokens.pack import Pack
from tilth.tokens.store import TokenStore

NO_LOSS = -1


@dataclass
class Sequence:
    """One packed sequence of T positions.

    inputs int32 [T]; targets int32 [T], -1 where there is no loss; lengths int32 [k], the segments' lengths, which
    sum to T (a padding tail is a segment of its own); documents int64 [k], each segment's row in the store, -1 for
    padding.
    """

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray
    documents: np.ndarray


class SequenceReader:
    """`read(group, index)` gives the index-th sequence of a group's epoch; it holds no state."""

    def __init__(self, store: TokenStore, pack: Pack) -> None:
        self.store, self.pack = store, pack
        self.length = pack.length
        self.group_names = list(pack.group_names)
        self.sizes = [pack.sequences(name) for name in self.group_names]

    def document_id(self, row: int) -> str:
        """The id of the store's document number `row`; empty for padding."""
        return str(self.store.columns["id"][row]) if row >= 0 else ""

    def read(self, group: int, index: int) -> Sequence:
        """The sequence `index` of group number `group`."""
        name = self.group_names[group]
        first = self.pack.first[name]
        segments = self.pack.segments[name][first[index] : first[index + 1]]
        inputs = np.zeros(self.length, np.int32)
        targets = np.full(self.length, NO_LOSS, np.int32)
        at = 0
        for document, start, length in segments.tolist():
            tokens = self.store.read(document, start, length + 1)
            inputs[at : at + length] = tokens[:-1]
            targets[at : at + length] = tokens[1:]
            for begin, stop in (self.store.without_loss(document) - (start + 1)).tolist():
                targets[at + max(begin, 0) : at + max(0, min(stop, length))] = NO_LOSS
            at += length
        lengths, documents = segments["length"].astype(np.int32), segments["document"].astype(np.int64)
        if at < self.length:
            lengths = np.append(lengths, np.int32(self.length - at))
            documents = np.append(documents, np.int64(-1))
        return Sequence(inputs, targets, lengths, documents)
