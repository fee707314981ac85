"""Near-duplicates: MinHash signatures, locality-sensitive hashing by bands, leader clustering.

Broder, "On the resemblance and containment of documents" (1997); the banding of Leskovec, Rajaraman and Ullman, "Mining
of Massive Datasets", section 3.4. With b bands of r rows a pair of similarity s becomes a candidate with probability
1 - (1 - s^r)^b: 0.998 at s = 0.75 and 0.5 at s = 0.5 for the default of 22 x 5 (0.92 at 0.8 for 14 x 8).

Documents are looked at in priority order. One is rejected if an already kept document that shares a band with it has
an estimated similarity of at least the threshold. So every rejected document has a partner that stays in the corpus
and is as similar as its record says; chains of pairwise similar documents do not pull unlike documents into one
cluster, as connected components do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tilth.corpus.dedup.priority import priority
from tilth.corpus.document import MINHASH, SIGNATURE
from tilth.corpus.settings import NearSettings, SurvivorSettings
from tilth.corpus.steps import DecideColumns, Rejections, View, WorkFolder


class NearStep(DecideColumns):
    """Removes near-duplicates, the hold-out's copies staying."""

    def __init__(self, name: str, settings: NearSettings, survivor: SurvivorSettings) -> None:
        super().__init__(name)
        self.settings, self.survivor = settings, survivor

    def needs(self) -> Sequence[str]:
        """The MinHash signature, and the column by which the survivor is chosen."""
        return [MINHASH, *filter(None, [self.survivor.column])]

    def decide(self, view: View, work: WorkFolder) -> Rejections:
        """Sort-based. Memory: about 70 bytes a document, and 200 for each that shares a band with another one.

        Signatures of candidates and the groups that they are in lie in memory-mapped files.
        """
        from tilth.text import cluster

        candidates = _candidates(view, work, self.settings)
        if not len(candidates):
            return Rejections.none()
        groups, total = _groups(candidates, len(view), work, self.settings.bands)
        signatures = _signatures_of(candidates, view, work)
        rank = np.empty(len(view), np.int64)
        rank[priority(view, self.survivor)] = np.arange(len(view))
        order = np.argsort(rank[candidates])
        needed = int(np.ceil(self.settings.threshold * SIGNATURE - 1e-9))
        leader, equal = cluster(signatures, groups, order, total, needed)
        rejected = np.flatnonzero(leader >= 0)
        rows, partners = candidates[rejected], candidates[leader[rejected]]
        similarity = equal[rejected] / SIGNATURE
        return Rejections.of(rows, "near_duplicate", similarity, self.settings.threshold, view.ids(partners))


def band_keys(signatures: np.ndarray, bands: int, rows: int) -> np.ndarray:
    """One 64-bit key a band, uint64 [bands, N], from signatures uint32 [N, 112]."""
    keys = np.zeros((bands, len(signatures)), np.uint64)
    columns = np.ascontiguousarray(signatures[:, : bands * rows].T)
    for band in range(bands):
        value = np.full(len(signatures), np.uint64(0x9E3779B97F4A7C15))
        for row in range(band * rows, (band + 1) * rows):
            value ^= columns[row].astype(np.uint64)
            value *= np.uint64(0xBF58476D1CE4E5B9)
            value ^= value >> np.uint64(29)
        keys[band] = value
    return keys


def _candidates(view: View, work: WorkFolder, settings: NearSettings) -> np.ndarray:
    """Rows that share a band with any other row. Leaves the keys of each band in a file of the work folder."""
    files = [work.path(f"band-{band}").open("wb") for band in range(settings.bands)]
    try:
        for _, columns in view.batches([MINHASH]):
            for file, keys in zip(
                files, band_keys(columns[MINHASH].view("<u4"), settings.bands, settings.rows), strict=True
            ):
                file.write(keys.tobytes())
    finally:
        for file in files:
            file.close()
    shared = np.zeros(len(view), bool)
    for band in range(settings.bands):
        keys = np.fromfile(work.path(f"band-{band}"), np.uint64)
        order = np.argsort(keys)
        keys = keys[order]
        same = keys[1:] == keys[:-1]
        shared[order[1:][same]] = True
        shared[order[:-1][same]] = True
    return np.flatnonzero(shared)


def _groups(candidates: np.ndarray, rows: int, work: WorkFolder, bands: int) -> tuple[np.ndarray, int]:
    """int32 [C, bands]: the number of the group of equal keys, counted through all bands; and how many groups."""
    groups = work.array("groups", (len(candidates), bands), np.int32)
    total = 0
    for band in range(bands):
        path = work.path(f"band-{band}")
        _, inverse = np.unique(np.fromfile(path, np.uint64)[candidates], return_inverse=True)
        groups[:, band] = inverse + total
        total += int(inverse.max()) + 1
        path.unlink()
    return groups, total


def _signatures_of(candidates: np.ndarray, view: View, work: WorkFolder) -> np.ndarray:
    signatures = work.array("signatures", (len(candidates), SIGNATURE), np.uint32)
    done = 0
    for start, columns in view.batches([MINHASH]):
        stop = done + int(np.searchsorted(candidates[done:], start + len(columns[MINHASH])))
        signatures[done:stop] = columns[MINHASH].view("<u4")[candidates[done:stop] - start]
        done = stop
    return signatures
