"""What one run over all shards is, and what its decisions say about one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tilth.corpus.running.passes import with_reasons
from tilth.corpus.settings import CorpusSettings
from tilth.corpus.sources import InputFile
from tilth.corpus.steps import Rejections


@dataclass(frozen=True)
class Pass:
    """One run over all shards: first its decisions are made, then every shard is read, changed and written."""

    settings: CorpusSettings
    benchmarks: tuple[InputFile, ...]
    number: int
    last: bool
    out: Path
    work: Path

    @property
    def folder(self) -> Path:
        """Where the pass keeps what only it needs."""
        return self.work / f"pass-{self.number}"

    @property
    def survivors(self) -> Path:
        """Where the documents go that a later pass reads."""
        return self.folder / "survivors"


@dataclass(frozen=True)
class ShardTask:
    """One shard of a pass."""

    pass_: Pass
    shard: Path
    first: int
    """The number of the shard's first row, counted through all shards of the pass."""

    def __str__(self) -> str:
        return self.shard.stem

    def decisions(self, suffix: str) -> Path:
        """A file with the decisions about this shard."""
        return self.pass_.folder / "decisions" / f"{self.shard.stem}{suffix}"

    def output(self, folder: str) -> Path:
        """A file of an output folder that several passes write to."""
        return self.pass_.out / folder / f"{self.shard.stem}-pass-{self.pass_.number}.parquet"


@dataclass
class Decisions:
    """What the decisions of a pass say about one shard."""

    labels: np.ndarray
    """uint8 [rows]: see `ShardView.labels`."""
    rows: np.ndarray
    """int64, rising: the rejected rows ..."""
    steps: np.ndarray
    """... object array of str: the step that rejected each ..."""
    reasons: Rejections
    """... and why (its own `rows` are not used)."""

    @property
    def stays(self) -> np.ndarray:
        """bool [rows]: the document is not rejected."""
        stays = np.ones(len(self.labels), bool)
        stays[self.rows] = False
        return stays

    def part(self, start: int, stop: int) -> Decisions:
        """Those about the rows [start, stop), counted from `start`."""
        first, last = np.searchsorted(self.rows, [start, stop])
        order = np.arange(first, last)
        rows = self.rows[first:last] - start
        return Decisions(self.labels[start:stop], rows, self.steps[first:last], self.reasons.take(order))

    def save(self, task: ShardTask) -> None:
        """Leave them for the worker that writes the shard."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        labels = task.decisions(".labels.npy")
        labels.parent.mkdir(parents=True, exist_ok=True)
        np.save(labels, self.labels)
        empty = pa.table({"row": pa.array(self.rows, pa.int64())})
        pq.write_table(with_reasons(empty, self.steps, self.reasons), task.decisions(".parquet"))

    @classmethod
    def load(cls, task: ShardTask) -> Decisions:
        """What `save` left."""
        import pyarrow.parquet as pq

        table = pq.read_table(task.decisions(".parquet"))
        columns = [table.column(name).to_numpy() for name in table.column_names]
        rows, steps, rules, values, thresholds, partners = columns
        reasons = Rejections(rows, rules, values, thresholds, partners)
        return cls(np.load(task.decisions(".labels.npy")), rows, steps, reasons)
