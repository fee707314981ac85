"""From packed sequences to micro-batches of tensors, one step ahead of the loop."""

from __future__ import annotations

from collections.abc import Sequence as Items
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tilth.model import Boundaries

Pick = tuple[int, int]
"""(group, index within the group's epoch)."""
SEGMENT_SLOTS = 16
"""Places for segments, of each row, as long as they are enough."""


class PackedSequence(Protocol):
    """One sequence of T tokens: documents or their pieces, one behind the other."""

    inputs: np.ndarray
    """int32[T]"""
    targets: np.ndarray
    """int32[T]; -1: no loss."""
    lengths: np.ndarray
    """int32[k]: segments, summing to T; a padding tail is a segment of its own whose targets are -1."""
    documents: np.ndarray
    """int64[k]: the document of each segment; -1: padding."""


class Reader(Protocol):
    """Where sequences come from."""

    length: int
    group_names: list[str]
    sizes: list[int]

    def read(self, group: int, index: int) -> PackedSequence:
        """Sequence `index` (below `sizes[group]`) of a group."""
        ...


@dataclass(frozen=True)
class Batch:
    """`rows` sequences of one forward, flattened: N = rows × T."""

    tokens: Tensor
    """int32[N]"""
    targets: Tensor
    """int64[N]; -1: no loss."""
    positions: Tensor
    """int32[N], from 0 in every segment."""
    boundaries: Boundaries
    groups: Tensor
    """int64[rows]: the group of each sequence; rows that only fill the batch up have group 0 and no target."""
    counts: Tensor
    """int64[rows]: targets with a loss of each sequence."""
    target_count: int
    """Their sum, known without asking the device."""
    documents: Tensor
    """int64[segments], aligned with `boundaries`: the document of each; padding and filling segments: -1. On the host,
    where objectives look up what they know of a document."""
    segment_counts: Tensor
    """int64[segments]: targets with a loss of each; on the host."""

    def sum_segments(self, values_N: Tensor) -> Tensor:
        """[segments]: the sum of `values_N` over the tokens of each segment, in fp64 where the device knows it."""
        exact_N = values_N if values_N.device.type == "mps" else values_N.to(torch.float64)
        ends_S = self.boundaries.offsets[1:].to(torch.int64)
        segment_N = torch.bucketize(torch.arange(len(exact_N), device=exact_N.device), ends_S, right=True)
        return exact_N.new_zeros(len(ends_S)).index_add(0, segment_N, exact_N)

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`, but for what stays on the host."""
        if device.type == "cpu":
            return self
        names = ("tokens", "targets", "positions", "groups", "counts")
        moved = {name: getattr(self, name).pin_memory().to(device, non_blocking=True) for name in names}
        return replace(self, boundaries=self.boundaries.to(device), **moved)


def make_batch(
    sequences: Items[PackedSequence], groups: Items[int] | None = None, *, rows: int | None = None, slots: int = 0
) -> Batch:
    """Pack sequences of equal length into one batch on the CPU.

    At least one is needed. Empty sequences fill the batch up to `rows` (default: as many as given), and empty segments
    fill `boundaries` up to `slots`, so that shapes stay the same.
    """
    length, rows = len(sequences[0].inputs), rows or len(sequences)
    tokens = np.zeros((rows, length), np.int32)
    targets = np.full((rows, length), -1, np.int64)
    lengths: list[np.ndarray] = []
    for row, sequence in enumerate(sequences):
        tokens[row], targets[row] = sequence.inputs, sequence.targets
        lengths.append(sequence.lengths)
    lengths += [np.array([length])] * (rows - len(sequences))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)])
    positions = np.arange(rows * length) - np.repeat(offsets[:-1], np.diff(offsets))
    slots = max(slots, len(offsets) - 1)
    padded = np.full(slots + 1, rows * length, np.int32)
    padded[: len(offsets)] = offsets
    documents = np.full(slots, -1, np.int64)
    given = np.concatenate([sequence.documents for sequence in sequences])
    documents[: len(given)] = given
    trained = np.concatenate([[0], np.cumsum(targets >= 0)])
    counts = (targets >= 0).sum(1)
    group_ids = np.zeros(rows, np.int64)
    group_ids[: len(sequences)] = 0 if groups is None else groups
    return Batch(
        tokens=torch.from_numpy(tokens.reshape(-1)),
        targets=torch.from_numpy(targets.reshape(-1)),
        positions=torch.from_numpy(positions.astype(np.int32)),
        boundaries=Boundaries(torch.from_numpy(padded), rows),
        groups=torch.from_numpy(group_ids),
        counts=torch.from_numpy(counts),
        target_count=int(counts.sum()),
        documents=torch.from_numpy(documents),
        segment_counts=torch.from_numpy(np.diff(trained[padded])),
    )


def empty_batch(rows: int, length: int, slots: int) -> Batch:
    """A batch without a target, for a rank that has no sequence left in a step."""
    inputs, targets = np.zeros(length, np.int32), np.full(length, -1, np.int32)
    sequence = _Empty(inputs, targets, np.array([length], np.int32), np.array([-1], np.int64))
    return make_batch([sequence], rows=rows, slots=slots)


@dataclass
class _Empty:
    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray
    documents: np.ndarray


class Feeder:
    """Reads the micro-batches of a step in a thread while the step before it is computed.

    Sequence i of a step belongs to rank i mod `size`; every rank has the same number of micro-batches, of `micro_batch`
    sequences or of a rank's whole share where that is less.
    """

    def __init__(self, reader: Reader, micro_batch: int, rank: int, size: int, device: torch.device) -> None:
        self.reader, self.micro_batch, self.rank, self.size, self.device = reader, micro_batch, rank, size, device
        self._slots = SEGMENT_SLOTS
        """Of each row now."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feeder")

    def submit(self, picks: list[Pick]) -> Future[list[Batch]]:
        """Start reading a step's micro-batches."""
        return self._thread.submit(self._read, picks)

    def _read(self, picks: list[Pick]) -> list[Batch]:
        mine, share = picks[self.rank :: self.size], -(-len(picks) // self.size)
        batches, rows = [], min(share, self.micro_batch)
        for start in range(0, share, rows):
            part = mine[start : start + rows]
            if part:
                sequences = [self.reader.read(*pick) for pick in part]
                segments = sum(len(sequence.lengths) for sequence in sequences) + rows
                while self._slots * rows < segments:  # rare: a new shape is compiled once more
                    self._slots *= 2
                groups = [group for group, _ in part]
                batch = make_batch(sequences, groups, rows=rows, slots=self._slots * rows)
            else:
                batch = empty_batch(rows, self.reader.length, self._slots * rows)
            batches.append(batch.to(self.device))
        return batches

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)
