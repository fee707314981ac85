"""Training sequences of a step: its own, and those of the pre-training text that is replayed."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import replace

import numpy as np

from tilth.posttrain.settings import REPLAY
from tilth.tokens.reader import Sequence, SequenceReader


class JoinedReader:
    """The groups of several readers of one length as one.

    The first reader's groups keep their names, the others' are called `replay/NAME`. Documents are numbered through:
    those of a later store come behind all of the stores before it.
    """

    def __init__(self, readers: Items[SequenceReader]) -> None:
        self.readers = list(readers)
        self.length = self.readers[0].length
        self.group_names: list[str] = []
        self.sizes: list[int] = []
        self._places: list[tuple[int, int]] = []
        for number, reader in enumerate(self.readers):
            self.group_names += [name if number == 0 else REPLAY + name for name in reader.group_names]
            self.sizes += reader.sizes
            self._places += [(number, group) for group in range(len(reader.group_names))]
        self._first = np.cumsum([0, *(len(reader.store) for reader in self.readers)])

    def read(self, group: int, index: int) -> Sequence:
        """Sequence `index` of group number `group`, counted through all readers."""
        number, inner = self._places[group]
        sequence = self.readers[number].read(inner, index)
        if number == 0:
            return sequence
        documents = np.where(sequence.documents < 0, -1, sequence.documents + self._first[number])
        return replace(sequence, documents=documents)
