"""The global batch of every step: one size, or a ramp from small to large by tokens seen. A pure function, no state.

As Megatron-LM's --rampup-batch-size, but by tokens and with any sizes; Brown et al. 2020 (arXiv:2005.14165, section
2.3) raise the batch over the first billions of tokens. Micro-batches stay as they are: a larger batch accumulates
more of them. No torch.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple


class Stretch(NamedTuple):
    """Steps of one batch."""

    step: int
    """The first of them, from 0;"""
    tokens: int
    """those of the phase before it;"""
    sequences: int
    """of a step."""


class BatchSizes:
    """`ramp` gives (tokens, sequences): so many sequences a step as long as fewer tokens have been seen; then `last`.

    The phase ends with the whole step that is nearest to `total` tokens.
    """

    def __init__(self, ramp: Sequence[tuple[int, int]], last: int, length: int, total: int) -> None:
        self.length, self.stretches = length, list[Stretch]()
        step = tokens = 0
        for until, sequences in ramp:
            self.stretches.append(Stretch(step, tokens, sequences))
            taken = max(0, -(-(until - tokens) // (sequences * length)))
            step, tokens = step + taken, tokens + taken * sequences * length
        self.stretches.append(Stretch(step, tokens, last))
        left = round((total - tokens) / (last * length))
        self.steps = step + max(0 if step else 1, left)
        """Of the phase."""
        self.tokens = self.before(self.steps)
        """Of all its steps."""

    def sequences(self, step: int) -> int:
        """Of step `step` (from 0)."""
        return self._stretch(step).sequences

    def before(self, step: int) -> int:
        """Tokens of the steps before `step`."""
        stretch = self._stretch(step)
        return stretch.tokens + (step - stretch.step) * stretch.sequences * self.length

    def middle(self, step: int) -> float:
        """Tokens at the middle of `step`: where its learning rate is looked up, so that no step is lost at rate 0."""
        return self.before(step) + 0.5 * self.sequences(step) * self.length

    def _stretch(self, step: int) -> Stretch:
        return next(stretch for stretch in reversed(self.stretches) if stretch.step <= step)


@functools.cache
def batch_sizes(ramp: tuple[tuple[int, int], ...], last: int, length: int, total: int) -> BatchSizes:
    """One object for each setting."""
    return BatchSizes(ramp, last, length, total)
