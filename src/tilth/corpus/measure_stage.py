"""The first stage: sources in, measured documents out. Every unit is a function of its files alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.files import atomic_file, read_json, write_json
from tilth.base.pool import Workers, map_units
from tilth.base.progress import Progress
from tilth.corpus.chain import build_chain
from tilth.corpus.document import MADE_DISTINCT, SIGNAL, by_domain, distinct_id, edit_schema, schema
from tilth.corpus.input_warnings import input_warnings, nothing_read, unread_sources
from tilth.corpus.report import measure_report
from tilth.corpus.running import tally
from tilth.corpus.running.clock import BOOKS, READ, each, spent
from tilth.corpus.running.passes import apply_steps, with_columns
from tilth.corpus.running.shards import ShardWriter, read_groups
from tilth.corpus.running.tally import StepTally
from tilth.corpus.running.work import UNREADABLE, batchwise, claim
from tilth.corpus.settings import CorpusSettings
from tilth.corpus.sources import InputFile, Unit, Unreadable, plan_units, read_unit
from tilth.corpus.sources.batches import source_signals

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 9


@dataclass(frozen=True)
class _Task:
    settings: CorpusSettings
    unit: Unit
    out: Path
    work: Path

    @property
    def name(self) -> str:
        return f"unit-{self.unit.index:05d}"

    def __str__(self) -> str:
        return f"{self.name} ({self.unit.files[0].name})"


def measure_stage(
    settings: CorpusSettings, files: Sequence[InputFile], out_dir: Path, work_dir: Path, workers: Workers | int = 1
) -> dict[str, Any]:
    """Run the chain up to its first decision; returns the report.

    Writes `documents/`, `edits/`, `unreadable.jsonl` and `report.json` below `out_dir`. Finished units are remembered
    in `work_dir`, so that a killed run goes on where it was; the result is the same to the byte for any number of
    workers, killed or not. What a person should know of the input is the report's `warnings`, for the caller to tell.
    Raises `UserError` where no record could be read, or where a file is no longer as it was found.
    """
    units = plan_units(files)
    claim(work_dir, out_dir, _key(settings, files))
    tasks = [_Task(settings, unit, out_dir, work_dir) for unit in units]
    results: list[dict[str, Any]] = []
    with Progress("measure", total=sum(file.size for file in files), unit="B") as bar:
        for task, result in map_units(_measure_unit, tasks, workers):
            results.append(result)
            bar.add(sum(file.size for file in task.unit.files))
    with spent(BOOKS):
        _finish(tasks, results)
    report = measure_report(results)
    read = [(task.unit.files[0].source, result) for task, result in zip(tasks, results, strict=True)]
    if unread := unread_sources(read):
        report["unread_sources"] = unread
    if warnings := input_warnings(settings.sources, files, read, unread):
        report["warnings"] = warnings
    write_json(out_dir / "report.json", report)
    if report["documents_out"] == 0:
        raise nothing_read(report["records_read"], len(files), results)
    return report


def _key(settings: CorpusSettings, files: Sequence[InputFile]) -> dict[str, Any]:
    """What the work in progress depends on: the sources, their files, and the steps before the cut."""
    steps = build_chain(settings).before
    canonical = settings.canonical()
    return {
        "measure": VERSION,
        "steps": [[step.name, step.VERSION, canonical[step.name.partition(".")[0]]] for step in steps],
        "sources": canonical["sources"],
        "files": [[str(f.path), f.name, f.source, f.format, f.size, f.modified] for f in files],
    }


@batchwise()
def _measure_unit(task: _Task) -> dict[str, Any]:
    marker = task.work / f"{task.name}.json"
    if marker.exists():
        return dict(read_json(marker))
    steps = build_chain(task.settings).before
    result = _Result(set(task.settings.sources[task.unit.files[0].source].signals))
    identity = edit_schema().append(_row_field())
    with (
        _writer(task, _schema(task.settings, steps)) as documents,
        ShardWriter(task.work / "edits" / f"{task.name}.parquet", identity, passing=True) as edits,
        atomic_file(task.work / "unreadable" / f"{task.name}.jsonl") as aside,
        aside.open("w", encoding="utf-8") as unreadable,
    ):
        for batch in each(READ, read_unit(task.unit, task.settings.sources, result.lacking)):
            for record in batch.unreadable:
                unreadable.write(json.dumps(asdict(record)) + "\n")
                result.refuse(record)
            result.read(batch.table)
            applied = apply_steps(batch.table, steps)
            for table in applied.edits:
                edits.write(_shift_rows(table, documents.rows))
            documents.write(applied.table)
            result.steps = tally.join([result.steps, applied.tallies]) if result.steps else applied.tallies
            result.written(applied.table)
        if not result.steps:
            result.steps = apply_steps(_schema(task.settings, []).empty_table(), steps).tallies
    for file in task.unit.files:
        file.check_unchanged()  # before the unit counts, as it does for good
    hashes, taken = _ids_of(task.out / "documents" / f"{task.name}.parquet")
    np.save(task.work / f"{task.name}.ids.npy", hashes)
    np.save(task.work / f"{task.name}.taken.npy", taken)
    write_json(marker, result.to_json(), indent=None)
    return result.to_json()


def _writer(task: _Task, fields: pa.Schema) -> ShardWriter:
    return ShardWriter(task.out / "documents" / f"{task.name}.parquet", fields, passing=True)


class _Result:
    """The counts of one unit."""

    def __init__(self, signals: set[str]) -> None:
        self.numberless = signals
        """The source's own signals of which no document has a number so far."""
        self.steps: list[StepTally] = []
        self.unreadable = self.unreadable_bytes = 0
        self.first_unreadable: list[Unreadable] = []
        self.file_ends: list[Unreadable] = []
        self.lacking: set[str] = set()
        self.domains: dict[str, dict[str, int]] = {}
        self.documents_in = self.bytes_in = self.documents_out = 0

    def refuse(self, record: Unreadable) -> None:
        self.unreadable += 1
        self.unreadable_bytes += record.bytes
        if not self.first_unreadable:
            self.first_unreadable.append(record)
        if record.ends_file:
            self.file_ends.append(record)

    def read(self, table: pa.Table) -> None:
        self.numberless = {name for name in self.numberless if np.isnan(table.column(SIGNAL + name).to_numpy()).all()}
        for domain, documents, size in by_domain(table):
            entry = self.domains.setdefault(domain, {"documents_in": 0, "bytes_in": 0, "documents_born": 0})
            entry["documents_in"] += documents
            entry["bytes_in"] += size
            self.documents_in += documents
            self.bytes_in += size

    def written(self, table: pa.Table) -> None:
        self.documents_out += len(table)
        for domain, documents, _ in by_domain(table):
            self.domains[domain]["documents_born"] += documents

    def to_json(self) -> dict[str, Any]:
        born = {
            name: {**entry, "documents_born": entry["documents_born"] - entry["documents_in"]}
            for name, entry in sorted(self.domains.items())
        }
        return {
            "documents_in": self.documents_in,
            "bytes_in": self.bytes_in,
            "documents_out": self.documents_out,
            "unreadable": self.unreadable,
            "unreadable_bytes": self.unreadable_bytes,
            "first_unreadable": [asdict(record) for record in self.first_unreadable],
            "file_ends": [asdict(record) for record in self.file_ends],
            "lacking": sorted(self.lacking),
            "numberless": sorted(self.numberless),
            "domains": born,
            "steps": [step.to_json() for step in self.steps],
        }


def _schema(settings: CorpusSettings, steps: Sequence[Any]) -> pa.Schema:
    """The columns of measured documents, found by measuring nothing."""
    import pyarrow as pa

    table = schema().empty_table()
    for name in source_signals(settings.sources):
        table = table.append_column(SIGNAL + name, pa.array([], pa.float32()))
    for step in steps:
        table = with_columns(table, step)
    return table.schema


def _row_field() -> pa.Field:
    import pyarrow as pa

    return pa.field("row", pa.int64())


def _shift_rows(edits: pa.Table, first: int) -> pa.Table:
    """Count rows through the whole shard; -1 stays, for a document that was cut into parts."""
    import pyarrow as pa

    rows = edits.column("row").to_numpy()
    return edits.set_column(edits.schema.get_field_index("row"), "row", pa.array(np.where(rows < 0, -1, rows + first)))


def _ids_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The hash of each id, and whether it ends as those that are made for ids that stand twice."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from tilth.text import content_hashes

    hashes, taken = [np.empty(0, np.uint64)], [np.empty(0, bool)]
    for group in read_groups(path, ["id"]):
        ids = group.column("id").combine_chunks().cast(pa.large_string())
        hashes.append(content_hashes(ids)[:, 0])
        taken.append(pc.match_substring_regex(ids, MADE_DISTINCT).to_numpy(zero_copy_only=False))
    return np.concatenate(hashes), np.concatenate(taken)


def _finish(tasks: Sequence[_Task], results: Sequence[dict[str, Any]]) -> None:
    """Make ids unique, put them into the edit logs, join the lists of unreadable records."""
    hashes, taken = ([np.load(task.work / f"{task.name}.{what}.npy") for task in tasks] for what in ("ids", "taken"))
    for task, rows in zip(tasks, _to_rename(hashes, taken), strict=True):
        path = task.out / "documents" / f"{task.name}.parquet"
        if len(rows):
            _rename(path, task.unit.index, rows)
        _write_edits(task, rows)
    with atomic_file(tasks[0].out / UNREADABLE) as aside, aside.open("wb") as joined:
        for task in tasks:
            joined.write((task.work / "unreadable" / f"{task.name}.jsonl").read_bytes())
    for task, result in zip(tasks, results, strict=True):
        tally.same(f"{task.name}: documents", result["documents_in"] + _born(result), result["documents_out"])


def _born(result: dict[str, Any]) -> int:
    return sum(step["born"] for step in result["steps"])


def _to_rename(hashes: list[np.ndarray], taken: list[np.ndarray]) -> list[np.ndarray]:
    """For each unit the rows whose id stands further up in the corpus already, or might be made for such a one."""
    joined = np.concatenate(hashes)
    order = np.argsort(joined, kind="stable")
    again = np.concatenate(taken)
    again[order[1:]] |= joined[order[1:]] == joined[order[:-1]]
    borders = np.cumsum([len(part) for part in hashes])[:-1]
    return [np.flatnonzero(part) for part in np.split(again, borders)]


def _rename(path: Path, unit: int, rows: np.ndarray) -> None:
    """Write the shard again with new ids for `rows`; done twice (after a kill) it changes nothing more."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted, first = set(rows.tolist()), 0
    with ShardWriter(path, pq.read_schema(path), passing=True) as writer:
        for group in read_groups(path):
            ids = group.column("id").to_pylist()
            for row in range(first, first + len(ids)):
                if row in wanted:
                    ids[row - first] = distinct_id(ids[row - first], unit, row)
            writer.write(group.set_column(group.schema.get_field_index("id"), "id", pa.array(ids, pa.string())))
            first += len(ids)


def _write_edits(task: _Task, rows: np.ndarray) -> None:
    import pyarrow as pa

    with ShardWriter(task.out / "edits" / f"{task.name}.parquet", edit_schema()) as writer:
        for group in read_groups(task.work / "edits" / f"{task.name}.parquet"):
            if len(rows):
                renamed = np.isin(group.column("row").to_numpy(), rows)
                ids = [
                    distinct_id(own, task.unit.index, row) if new else own
                    for own, row, new in zip(
                        group.column("id").to_pylist(), group.column("row").to_pylist(), renamed, strict=True
                    )
                ]
                group = group.set_column(0, "id", pa.array(ids, pa.string()))
            writer.write(group)
