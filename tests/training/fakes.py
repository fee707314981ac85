"""A reader of made-up packed sequences: every sequence a function of (group, index), as the real one's are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FakeSequence:
    """One packed sequence."""

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray
    documents: np.ndarray


class FakeReader:
    """Documents of an affine progression modulo the vocabulary, with another step width in each group."""

    def __init__(
        self, length: int = 32, sizes: tuple[int, ...] = (40, 20), vocabulary: int = 64, mean: int = 10, seed: int = 0
    ) -> None:
        self.length, self.sizes, self.vocabulary, self.mean, self.seed = length, list(sizes), vocabulary, mean, seed
        self.group_names = [f"group_{i}" for i in range(len(sizes))]

    def read(self, group: int, index: int) -> FakeSequence:
        """Segments of random length; every fifth sequence ends in padding."""
        assert 0 <= index < self.sizes[group]
        rng = np.random.default_rng([self.seed, group, index])
        inputs = np.zeros(self.length, np.int32)
        targets = np.full(self.length, -1, np.int32)
        lengths: list[int] = []
        while (start := sum(lengths)) < self.length:
            size = min(self.length - start, max(2, int(rng.exponential(self.mean))))
            words = (rng.integers(self.vocabulary) + (group + 1) * np.arange(size + 1)) % self.vocabulary
            noise = rng.random(size + 1) < 0.05
            words = np.where(noise, rng.integers(self.vocabulary, size=size + 1), words)
            inputs[start : start + size], targets[start : start + size] = words[:-1], words[1:]
            lengths.append(size)
        if index % 5 == 4 and len(lengths) > 1:
            targets[self.length - lengths[-1] :] = -1
            inputs[self.length - lengths[-1] :] = 0
        return FakeSequence(inputs, targets, np.array(lengths, np.int32), np.arange(len(lengths), dtype=np.int64))
