"""The pack index: which pieces of which documents make up each training sequence.

A document of n tokens has n - 1 (input, target) pairs. Pairs are laid out so that together the sequences of a group
cover every pair of every document once (or `repeat` times): documents longer than a sequence are cut into whole
sequences, the rest is packed by best fit, longest first (Ding et al., "Fewer Truncations Improve Language Modeling",
2024). No text is copied and no token is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tilth.base.files import atomic_file, read_json, write_json

SEGMENT = np.dtype([("document", np.int64), ("start", np.int64), ("length", np.int32)])


@dataclass(frozen=True)
class Pack:
    """Sequences of `length` positions. Sequence s of a group is `segments[first[s] : first[s + 1]]`."""

    length: int
    group_names: list[str]
    segments: dict[str, np.ndarray]
    first: dict[str, np.ndarray]

    def sequences(self, group: str) -> int:
        """Sequences in one epoch of a group."""
        return len(self.first[group]) - 1

    def pairs(self, group: str) -> int:
        """(input, target) pairs in one epoch of a group."""
        return int(self.segments[group]["length"].sum())

    def fill(self, group: str) -> float:
        """Share of the positions that carry a pair."""
        return self.pairs(group) / max(1, self.sequences(group) * self.length)

    def save(self, folder: Path) -> None:
        """Write `pack.json` and two arrays a group."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(self.group_names):
            for kind, array in (("segments", self.segments[name]), ("first", self.first[name])):
                with atomic_file(folder / f"{kind}-{number:03d}.npy") as aside, aside.open("wb") as out:
                    np.save(out, array)
        write_json(folder / "pack.json", {"length": self.length, "groups": self.group_names})

    @classmethod
    def load(cls, folder: Path) -> Pack:
        """Open a saved pack; the arrays are memory-mapped."""
        head = read_json(folder / "pack.json")
        arrays = {
            kind: {
                name: np.load(folder / f"{kind}-{number:03d}.npy", mmap_mode="r")
                for number, name in enumerate(head["groups"])
            }
            for kind in ("segments", "first")
        }
        return cls(head["length"], head["groups"], arrays["segments"], arrays["first"])


def build_pack(
    lengths: np.ndarray, groups: dict[str, np.ndarray], length: int, repeat: np.ndarray | None = None
) -> Pack:
    """Pack documents of `lengths` tokens into sequences of `length` positions, each within one group.

    `groups` maps a name to its documents; `repeat` is how often a document stands in an epoch (default once).
    """
    if length < 1:
        raise ValueError(f"a sequence has at least one position, found {length}")
    names = list(groups)
    packed = {name: _pack_group(groups[name], lengths, length, repeat) for name in names}
    return Pack(length, names, {n: packed[n][0] for n in names}, {n: packed[n][1] for n in names})


def _pack_group(
    documents: np.ndarray, lengths: np.ndarray, length: int, repeat: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    if repeat is not None:
        documents = np.repeat(documents, repeat[documents])
    pairs = np.maximum(lengths[documents].astype(np.int64) - 1, 0)
    whole = pairs // length
    full = np.zeros(int(whole.sum()), SEGMENT)
    full["document"] = np.repeat(documents, whole)
    full["start"] = (np.arange(len(full)) - np.repeat(np.cumsum(whole) - whole, whole)) * length
    full["length"] = length
    rest = pairs % length
    tails = np.zeros(int((rest > 0).sum()), SEGMENT)
    tails["document"] = documents[rest > 0]
    tails["start"] = (whole * length)[rest > 0]
    tails["length"] = rest[rest > 0]
    tails = tails[np.argsort(-tails["length"], kind="stable")]
    bins, count = best_fit(tails["length"], length)
    order = np.argsort(bins, kind="stable")
    sizes = np.bincount(bins, minlength=count) if count else np.zeros(0, np.int64)
    first = np.concatenate([np.arange(len(full) + 1), len(full) + np.cumsum(sizes)]).astype(np.int64)
    return np.concatenate([full, tails[order]]), first


def best_fit(sizes: np.ndarray, capacity: int) -> tuple[np.ndarray, int]:
    """The bin of each item (items longest first), and the number of bins.

    Open bins stand in stacks by the space they have left; bit s of `open_spaces` says that a bin with s left
    exists, so the tightest bin that fits is found in a few integer operations.
    """
    stacks: list[list[int]] = [[] for _ in range(capacity + 1)]
    open_spaces, count = 0, 0
    bins = np.zeros(len(sizes), np.int64)
    for item, size in enumerate(sizes.tolist()):
        fitting = open_spaces >> size
        if fitting:
            space = size + (fitting & -fitting).bit_length() - 1
            chosen = stacks[space].pop()
            if not stacks[space]:
                open_spaces &= ~(1 << space)
        else:
            space, chosen, count = capacity, count, count + 1
        bins[item] = chosen
        left = space - size
        if left:
            stacks[left].append(chosen)
            open_spaces |= 1 << left
    return bins, count
