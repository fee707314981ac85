"""One shard of a pass: apply its decisions, run the steps that read texts, and write what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.files import read_json, write_json
from tilth.corpus.chain import build_chain
from tilth.corpus.document import HASH, HOLDOUT, MINHASH, by_domain, edit_schema, rejection_fields, text_bytes
from tilth.corpus.repeat import Repeats
from tilth.corpus.running import tally
from tilth.corpus.running.across import Marks, round_folder
from tilth.corpus.running.passes import apply_steps, count_rejected, divide, with_columns, with_reasons
from tilth.corpus.running.shards import ShardWriter, read_groups
from tilth.corpus.running.tally import StepTally
from tilth.corpus.running.tasks import Decisions, ShardTask
from tilth.corpus.running.work import batchwise
from tilth.corpus.steps import Decide, Label, Rejections, Step

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class _Counts:
    """The counts of one shard."""

    steps: list[StepTally] = field(default_factory=list)
    domains: dict[str, dict[str, int]] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add_steps(self, steps: list[StepTally]) -> None:
        self.steps = tally.join([self.steps, steps]) if self.steps else steps

    def add(self, what: str, table: pa.Table) -> None:
        for domain, documents, size in by_domain(table):
            entry = self.domains.setdefault(domain, {})
            entry[f"documents_{what}"] = entry.get(f"documents_{what}", 0) + documents
            entry[f"bytes_{what}"] = entry.get(f"bytes_{what}", 0) + size

    def to_json(self) -> dict[str, Any]:
        return {
            "steps": [step.to_json() for step in self.steps],
            "domains": dict(sorted(self.domains.items())),
            "findings": self.findings,
        }


@batchwise()
def write_shard(task: ShardTask) -> dict[str, Any]:
    """Do one shard and return its counts; a shard that a killed run finished is only looked up."""
    marker = task.pass_.folder / f"{task.shard.stem}.json"
    if marker.exists():
        return dict(read_json(marker))
    chain = build_chain(task.pass_.settings, task.pass_.benchmarks)
    segment = chain.segments[task.pass_.number]
    decisions, repeats, counts = Decisions.load(task), Repeats(task.pass_.settings.repeat), _Counts()
    across = segment.across
    marks = Marks(round_folder(task.pass_, len(across.rounds()) - 1) if across else None)
    with _Outputs.open(task, segment.texts, chain.stale) as outputs:
        first = 0
        for group in read_groups(task.shard, _columns_read(task, segment.texts, repeats)):
            about = decisions.part(first, first + len(group))
            rows = task.first + first + np.flatnonzero(about.stays)
            first += len(group)
            table, steps = _apply_decisions(group, segment.decisions, about, outputs, counts)
            texts = (across.at(rows, marks.between(rows)), *segment.texts) if across else segment.texts
            applied = apply_steps(table, texts)
            for rejected in applied.rejected:
                outputs.reject(rejected, counts)
            for edits in applied.edits:
                outputs.edits.write(edits)
            counts.findings += applied.findings
            table, steps = applied.table, steps + applied.tallies
            if task.pass_.last:
                table, sampling = _sample(table, repeats, outputs, counts)
                steps.append(sampling)
            outputs.keep(table, counts)
            counts.add_steps(steps)
    result = counts.to_json()
    write_json(marker, result, indent=None)
    return result


def _columns_read(task: ShardTask, texts: Sequence[Step], repeats: Repeats) -> list[str]:
    """Those of the shard, without what nothing that comes asks for: signatures are a fifth of it, and end here."""
    import pyarrow.parquet as pq

    asked = {name for step in texts for name in step.needs()}
    asked |= {name for where, _ in repeats.entries for name in where.names}
    left_out = {HASH, MINHASH} - asked if task.pass_.last else set()
    return [name for name in pq.read_schema(task.shard).names if name not in left_out]


def _apply_decisions(
    table: pa.Table, steps: Sequence[Decide], about: Decisions, outputs: _Outputs, counts: _Counts
) -> tuple[pa.Table, list[StepTally]]:
    """Write out the rows that the pass's decisions reject; returns the others, labelled, and the tallies."""
    import pyarrow as pa

    held = pa.array(about.labels > 0)
    at = table.schema.get_field_index(HOLDOUT)
    table = table.append_column(HOLDOUT, held) if at < 0 else table.set_column(at, HOLDOUT, held)
    stays = about.stays
    rejected = with_reasons(table.filter(pa.array(~stays)), about.steps, about.reasons)
    outputs.reject(rejected, counts)
    tallies, documents, size = [], len(table), int(text_bytes(table).sum())
    for number, step in enumerate(steps, 1):
        entry = StepTally(step.name, step.kind, documents, size)
        if isinstance(step, Label):
            entry.labelled = int(np.count_nonzero(about.labels == number))
        count_rejected(rejected.filter(pa.array(about.steps == step.name, pa.bool_())), entry)
        documents -= entry.rejected
        size -= sum(rule.bytes for rule in entry.rules.values())
        entry.documents_out, entry.bytes_out = documents, size
        entry.close()
        tallies.append(entry)
    survivors = table.filter(pa.array(stays)) if len(rejected) else table
    tally.same("decisions: survivors", len(survivors), documents)
    return survivors, tallies


class _Sampling(Step):
    """The last step of every chain: how often a document is seen; one that is empty, or seen never, is rejected."""

    kind = "decide"


def _sample(table: pa.Table, repeats: Repeats, outputs: _Outputs, counts: _Counts) -> tuple[pa.Table, StepTally]:
    import pyarrow as pa

    step = _Sampling("sampling")
    times, sizes = repeats.times(table), text_bytes(table)
    times[table.column(HOLDOUT).to_numpy(zero_copy_only=False)] = 1
    entry = StepTally(step.name, step.kind, len(table), int(sizes.sum()))
    table = table.append_column("repeat", pa.array(times, pa.int32()))
    rows = np.flatnonzero((times == 0) | (sizes == 0))
    rules = np.where(sizes[rows] == 0, "empty", "repeat").astype(object)
    table, rejected = divide(table, step, Rejections.of(rows, rules, 0.0, 1.0), entry)
    if len(rejected):
        outputs.reject(rejected, counts)
    entry.documents_out, entry.bytes_out = len(table), int(text_bytes(table).sum())
    entry.close()
    return table, entry


class _Outputs:
    """The files that a shard of a pass writes."""

    def __init__(self, task: ShardTask, stack: contextlib.ExitStack, columns: pa.Schema, drop: set[str]) -> None:
        import pyarrow as pa

        def schema(left_out: set[str], more: Sequence[pa.Field] = ()) -> pa.Schema:
            return pa.schema([f for f in columns if f.name not in left_out] + list(more))

        def writer(path: Path, fields: pa.Schema) -> ShardWriter:
            return stack.enter_context(ShardWriter(path, fields))

        out, name = task.pass_.out, task.shard.name
        self.last = task.pass_.last
        self.edits = writer(task.output("edits"), edit_schema())
        self.rejected = writer(task.output("rejected"), schema(drop | {HOLDOUT}, rejection_fields()))
        if self.last:
            repeat = pa.field("repeat", pa.int32())
            self.documents = writer(out / "documents" / name, schema(drop | {HOLDOUT}, [repeat]))
            self.holdout = writer(out / "holdout" / name, schema(drop | {HOLDOUT}))
        else:
            self.survivors = stack.enter_context(ShardWriter(task.pass_.survivors / name, schema(set()), passing=True))

    @classmethod
    @contextlib.contextmanager
    def open(cls, task: ShardTask, texts: Sequence[Step], stale: frozenset[str]) -> Iterator[_Outputs]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_schema(task.shard).empty_table()
        if HOLDOUT not in table.column_names:
            table = table.append_column(HOLDOUT, pa.array([], pa.bool_()))
        for step in texts:
            table = with_columns(table, step)
        with contextlib.ExitStack() as stack:
            yield cls(task, stack, table.schema, set(stale) | {HASH, MINHASH})

    def reject(self, rejected: pa.Table, counts: _Counts) -> None:
        """Write rejected documents; what a later step of the pass measures is null in them."""
        import pyarrow as pa

        if not len(rejected):
            return
        counts.add("rejected", rejected)
        for column in self.rejected.schema:
            if column.name not in rejected.column_names:
                rejected = rejected.append_column(column, pa.nulls(len(rejected), column.type))
        self.rejected.write(rejected)

    def keep(self, table: pa.Table, counts: _Counts) -> None:
        import pyarrow.compute as pc

        if not self.last:
            self.survivors.write(table)
            return
        held = table.column(HOLDOUT)
        for what, writer, rows in (("holdout", self.holdout, held), ("kept", self.documents, pc.invert(held))):
            part = table.select(writer.schema.names).filter(rows)
            counts.add(what, part)
            writer.write(part)
