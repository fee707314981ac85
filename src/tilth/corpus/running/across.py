"""Edits that look at the whole corpus first, in bounded memory, shard by shard.

In a round every shard notes records (128-bit key, place) in a file, sorted by a part of their key; then every part is
brought together on its own, in priority order (the hold-out's records first, then the corpus's order), and leaves the
places that it chose. So a worker holds one part's keys, or one batch of texts, and nothing depends on how many parts or
workers there are. A file is whole or absent: a killed run goes on with the first that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from tilth.base.files import atomic_file, read_json, remove, write_json
from tilth.base.pool import Workers, map_units
from tilth.base.progress import Progress
from tilth.corpus.chain import build_chain
from tilth.corpus.document import texts_of
from tilth.corpus.running.clock import spent
from tilth.corpus.running.shards import read_groups, text_size
from tilth.corpus.running.tasks import Decisions, Pass, ShardTask
from tilth.corpus.steps import CorpusEdit

if TYPE_CHECKING:
    import pyarrow as pa

_HELD = 128
"""Bytes of memory that a record takes at most: see `tilth.text.Seen`."""
_MOST_PARTS = 2**15
_RECORD = 24
"""Bytes of a record in a file."""


class Marks:
    """The places that a round chose, by row. They stay in files; a look-up reads what it gives."""

    def __init__(self, folder: Path | None) -> None:
        self._paths = sorted(folder.glob("part-*.npy")) if folder else []

    def between(self, rows: np.ndarray) -> np.ndarray:
        """int64, rising: the places in these rows, and in those that lie between (rows int64, rising)."""
        found = [np.empty(0, np.int64)]
        ends = [int(rows[0]) << 32, int(rows[-1]) + 1 << 32] if len(rows) else [0, 0]
        for path in self._paths:  # one open at a time: there may be thousands, and pages that were read are let go
            part = np.load(path, mmap_mode="r")
            start, stop = np.searchsorted(part, ends)
            found.append(np.array(part[start:stop]))
        return np.sort(np.concatenate(found))


def round_folder(pass_: Pass, number: int) -> Path:
    """Where a round leaves its records and marks."""
    return pass_.folder / "across" / f"round-{number}"


def look_across(step: CorpusEdit, tasks: Sequence[ShardTask], workers: Workers | int) -> None:
    """Run the step's rounds over the documents that the pass's decisions have left; the last one's marks stay."""
    pass_, size, marks = tasks[0].pass_, sum(text_size(task.shard) for task in tasks), 0
    for number in range(len(step.rounds())):
        folder = round_folder(pass_, number)
        done = folder / "done.json"
        if not done.exists():
            parts = _parts(step.most(number, size, marks), step.memory)
            looks = [_ShardLook(task, number, parts) for task in tasks]
            joins = [_PartLook(pass_, number, parts, part) for part in range(parts)]
            with Progress(f"{step.name}, round {number + 1}", total=len(looks) + parts, unit="part") as bar:
                for _ in map_units(note_shard, looks, workers):
                    bar.add(1)
                marks = 0
                for _, chosen in map_units(join_part, joins, workers):
                    marks += chosen
                    bar.add(1)
            write_json(done, {"parts": parts, "marks": marks})
            for path in folder.glob("*.records*"):
                remove(path)
        marks = read_json(done)["marks"]


def _parts(records: int, memory: int) -> int:
    """How many parts keys are divided into: a power of two, so that one part's records fit into the memory."""
    wanted = max(1, -(-_HELD * records // memory))
    return min(1 << (wanted - 1).bit_length(), _MOST_PARTS)


def part_memory(size: int, memory: int) -> int:
    """Bytes that a worker may come to hold for a step with this setting of `memory` in `size` bytes of text.

    The setting, until there would be too many parts: from there on it grows with the text, by a record for each byte
    at most.
    """
    return max(memory, -(-_HELD * size // _MOST_PARTS))


@dataclass(frozen=True)
class _ShardLook:
    """One shard in one round."""

    task: ShardTask
    number: int
    parts: int

    @property
    def pass_(self) -> Pass:
        """The pass that the shard belongs to."""
        return self.task.pass_

    def __str__(self) -> str:
        return str(self.task)


@dataclass(frozen=True)
class _PartLook:
    """One part of the keys in one round."""

    pass_: Pass
    number: int
    parts: int
    part: int

    def __str__(self) -> str:
        return f"part {self.part} of {self.parts}"


def _step(pass_: Pass) -> CorpusEdit:
    step = build_chain(pass_.settings, pass_.benchmarks).segments[pass_.number].across
    assert step is not None
    return step


def note_shard(look: _ShardLook) -> None:
    """Write the records of one shard, and an index of them: int64 [runs, 2 parts + 1], where each part starts."""
    folder = round_folder(look.pass_, look.number)
    index = folder / f"{look.task.shard.stem}.records.npy"
    if index.exists():
        return
    step = _step(look.pass_)
    marks = Marks(round_folder(look.pass_, look.number - 1) if look.number else None)
    with atomic_file(folder / f"{look.task.shard.stem}.records") as aside, aside.open("wb") as file:
        runs = _Runs(file, look.parts, step.memory // 8)
        for table, rows, held in _remaining(look.task):
            with spent(step.name):
                keys, places = step.note(look.number, texts_of(table), rows, marks.between(rows))
                runs.add(keys, places, held[np.searchsorted(rows, places >> 32)])
        borders = runs.close()
    with atomic_file(index) as aside, aside.open("wb") as file:
        np.save(file, borders)


def _remaining(task: ShardTask) -> Iterator[tuple[pa.Table, np.ndarray, np.ndarray]]:
    """The texts of a shard that the pass's decisions leave, with their rows and whether they are in the hold-out."""
    import pyarrow as pa

    decisions, first = Decisions.load(task), 0
    for group in read_groups(task.shard, ["text"]):
        about = decisions.part(first, first + len(group))
        stays = about.stays
        if stays.any():
            yield group.filter(pa.array(stays)), task.first + first + np.flatnonzero(stays), about.labels[stays] > 0
        first += len(group)


class _Runs:
    """Writes records, sorted by part, in runs of bounded size. The hold-out's parts stand in front of the others."""

    def __init__(self, file: IO[bytes], parts: int, limit: int) -> None:
        self._file, self._parts, self._limit = file, parts, max(limit // _RECORD, 1)
        self._held: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._waiting = self._written = 0
        self._index: list[np.ndarray] = []

    def add(self, keys: np.ndarray, places: np.ndarray, holdout: np.ndarray) -> None:
        """Records, in the order of their places."""
        self._held.append((keys, places, holdout))
        self._waiting += len(places)
        if self._waiting >= self._limit:
            self._flush()

    def close(self) -> np.ndarray:
        """Write the rest; returns the index."""
        self._flush()
        return np.array(self._index, np.int64).reshape(-1, 2 * self._parts + 1)

    def _flush(self) -> None:
        from tilth.text import by_part

        if self._waiting:
            records, starts = by_part(self._held, self._parts)
            self._held = []
            self._index.append(self._written + starts)
            self._file.write(records.data)
            self._written += len(records)
            self._waiting = 0


def join_part(look: _PartLook) -> int:
    """Bring one part of the records of all shards together and leave the chosen places, rising, in a file.

    Returns how many places were chosen.
    """
    from tilth.text import Seen

    folder = round_folder(look.pass_, look.number)
    out = folder / f"part-{look.part:05d}.npy"
    if out.exists():
        return len(np.load(out, mmap_mode="r"))
    step = _step(look.pass_)
    rule = step.rounds()[look.number]
    runs = [
        (index.with_suffix(""), start, stop)
        for part in (look.part, look.parts + look.part)
        for index in sorted(folder.glob("*.records.npy"))
        for start, stop in np.load(index)[:, part : part + 2].tolist()
    ]
    with spent(step.name):
        seen = Seen(sum(stop - start for _, start, stop in runs), rule.keep, rule.apart, every=rule.every)
        chosen = [np.empty(0, np.int64), *(seen.meet(_records(*run)) for run in runs)]
        places = np.sort(np.concatenate(chosen))
    with atomic_file(out) as aside, aside.open("wb") as file:
        np.save(file, places)
    return len(places)


def _records(path: Path, start: int, stop: int) -> np.ndarray:
    """uint64 [stop - start, 3]: key and place of some records of a file."""
    return np.fromfile(path, np.uint64, 3 * (stop - start), offset=_RECORD * start).reshape(-1, 3)
