"""The documents that are still in the corpus, seen by column: what decisions read instead of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tilth.corpus.document import HOLDOUT
from tilth.corpus.running.shards import as_numpy, count_rows, read_groups

EARLIER = 255


class ShardView:
    """Columns over the shards of one pass. Rejecting rows narrows the view; nothing on disk changes."""

    def __init__(self, shards: Sequence[Path], *, labelled: bool) -> None:
        self.shards = list(shards)
        self.starts = np.concatenate([[0], np.cumsum([count_rows(path) for path in self.shards])]).astype(np.int64)
        self.alive = np.ones(int(self.starts[-1]), bool)
        self.labels = self._read_labels() if labelled else np.zeros(len(self.alive), np.uint8)
        """uint8: 0 for training, else who moved the document to the hold-out: EARLIER, or a number of the caller's."""

    def __len__(self) -> int:
        return int(np.count_nonzero(self.alive))

    @property
    def rows(self) -> np.ndarray:
        """Where the documents of the view stand among all rows of the shards."""
        return np.flatnonzero(self.alive)

    @property
    def holdout(self) -> np.ndarray:
        """bool [N]: the document belongs to the hold-out."""
        return self.labels[self.alive] > 0

    def move_to_holdout(self, chosen: np.ndarray, label: int) -> None:
        """Label documents of the view (bool [N]) that are not in the hold-out yet."""
        places = self.rows[chosen]
        self.labels[places[self.labels[places] == 0]] = label

    def reject(self, rows: np.ndarray) -> np.ndarray:
        """Take documents out of the view; returns where they stand among all rows of the shards."""
        places = self.rows[rows]
        self.alive[places] = False
        return places

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Columns by row group, with the row of the view at which each part starts."""
        done = 0
        for shard, path in enumerate(self.shards):
            row = int(self.starts[shard])
            for group in read_groups(path, list(names)):
                stays = self.alive[row : row + len(group)]
                row += len(group)
                columns = {name: as_numpy(group.column(name))[stays] for name in names}
                yield done, columns
                done += int(np.count_nonzero(stays))

    def column(self, name: str) -> np.ndarray:
        """A whole column."""
        parts = [columns[name] for _, columns in self.batches([name])]
        return np.concatenate(parts) if parts else np.empty(0)

    def codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """A string column as int32 codes and the values that they stand for, in the order of their appearance."""
        known: dict[str, int] = {}
        parts = [
            np.fromiter((known.setdefault(v, len(known)) for v in columns[name]), np.int32, len(columns[name]))
            for _, columns in self.batches([name])
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int32), list(known)

    def ids(self, rows: np.ndarray) -> np.ndarray:
        """The ids of these rows of the view, as objects."""
        found = np.full(len(rows), "", object)
        if not len(rows):
            return found
        order = np.argsort(rows, kind="stable")
        wanted, done = rows[order], 0
        for start, columns in self.batches(["id"]):
            stop = int(np.searchsorted(wanted, start + len(columns["id"])))
            found[order[done:stop]] = columns["id"][wanted[done:stop] - start]
            done = stop
        return found

    def _read_labels(self) -> np.ndarray:
        parts = [as_numpy(g.column(HOLDOUT)) for path in self.shards for g in read_groups(path, [HOLDOUT])]
        held = np.concatenate(parts).astype(bool) if parts else np.zeros(0, bool)
        return np.where(held, EARLIER, 0).astype(np.uint8)
