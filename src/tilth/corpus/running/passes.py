"""Running steps over one batch of documents: the part that is the same in both stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.corpus.document import edit_schema, rejection_fields, text_bytes
from tilth.corpus.running.clock import spent
from tilth.corpus.running.tally import EXAMPLES, RuleTally, StepTally
from tilth.corpus.steps import DecideTexts, Edit, EditLog, Measure, Rejections, Step

if TYPE_CHECKING:
    import pyarrow as pa

_EXCERPT = 240


@dataclass
class Applied:
    """What came of a batch: the documents that stay, those rejected (with reasons), and the log of edits."""

    table: pa.Table
    rejected: list[pa.Table]
    edits: list[pa.Table]
    tallies: list[StepTally]
    findings: list[dict[str, Any]]


def apply_steps(table: pa.Table, steps: Sequence[Step]) -> Applied:
    """Run measures, edits and decisions that read texts over the rows of `table`, in order."""
    applied = Applied(table, [], [], [], [])
    for step in steps:
        with spent(step.name):
            _apply(step, applied)
    return applied


def _apply(step: Step, applied: Applied) -> None:
    """Run one step over what the steps before it left."""
    table = applied.table
    tally = StepTally(step.name, step.kind, len(table), int(text_bytes(table).sum()))
    if isinstance(step, Measure):
        applied.table = step.measure(table)
    elif isinstance(step, Edit):
        applied.table, log = step.edit(table)
        applied.findings += log.findings
        tally.born = len(applied.table) - len(table)
        tally.edited = len(set(log.rows))
        tally.places = dict(sorted(Counter(log.kinds).items()))
        if len(log):
            applied.edits.append(_edit_table(table, step, log))
        if tally.born:
            moved = _moved_rows(len(table), log)
            applied.edits = [_move(edits, moved) for edits in applied.edits]
    elif isinstance(step, DecideTexts):
        rejections, findings = step.decide_texts(table)
        applied.findings += findings
        applied.table, rejected = divide(table, step, rejections, tally)
        if len(rejected):
            applied.rejected.append(rejected)
    tally.documents_out = len(applied.table)
    tally.bytes_out = int(text_bytes(applied.table).sum())
    tally.close()
    applied.tallies.append(tally)


def with_columns(empty: pa.Table, step: Step) -> pa.Table:
    """A table without rows, with the columns that a step adds."""
    if isinstance(step, Measure):
        return step.measure(empty)
    return step.edit(empty)[0] if isinstance(step, Edit) and step.adds() else empty


def divide(table: pa.Table, step: Step, rejections: Rejections, tally: StepTally) -> tuple[pa.Table, pa.Table]:
    """The rows that stay, and the rejected ones with their reasons; rejected ones are counted in `tally`."""
    import pyarrow as pa

    if not len(rejections):
        return table, table.slice(0, 0)
    stays = np.ones(len(table), bool)
    stays[rejections.rows] = False
    rejected = with_reasons(
        table.filter(pa.array(~stays)),
        np.full(len(rejections), step.name, object),
        rejections,
    )
    count_rejected(rejected, tally)
    return table.filter(pa.array(stays)), rejected


def with_reasons(table: pa.Table, steps: np.ndarray, reasons: Rejections) -> pa.Table:
    """Put the columns of a rejection behind those of the documents."""
    import pyarrow as pa

    columns = (steps, reasons.rules, reasons.values, reasons.thresholds, reasons.partners)
    for field, values in zip(rejection_fields(), columns, strict=True):
        table = table.append_column(field, pa.array(values, field.type))
    return table


def count_rejected(rejected: pa.Table, tally: StepTally) -> None:
    """Add rejected documents to the tally of the step that rejected them, with the first few as examples."""
    sizes = text_bytes(rejected)
    for row, rule in enumerate(rejected.column("rule").to_pylist()):
        entry = tally.rules.setdefault(rule, RuleTally())
        entry.documents += 1
        entry.bytes += int(sizes[row])
        if len(entry.examples) < EXAMPLES:
            entry.examples.append(_example(rejected, row))


def _example(rejected: pa.Table, row: int) -> dict[str, Any]:
    names = ("id", "domain", "value", "threshold", "partner")
    example = {name: rejected.column(name)[row].as_py() for name in names}
    text = rejected.column("text")[row].as_py()
    return example | {"excerpt": text[:_EXCERPT]}


def _edit_table(table: pa.Table, step: Step, log: EditLog) -> pa.Table:
    import pyarrow as pa

    rows = np.asarray(log.rows, np.int64)
    ids = table.column("id").combine_chunks().take(pa.array(rows))
    names = pa.array(np.full(len(rows), step.name, object), pa.string())
    arrays = [ids, names, pa.array(log.kinds, pa.string()), pa.array(log.starts), pa.array(log.ends)]
    return pa.table(arrays, schema=edit_schema()).append_column("row", pa.array(rows))


def _moved_rows(count: int, log: EditLog) -> np.ndarray:
    """int64 [count]: where each row stands behind a step that cuts documents, -1 for those that were cut."""
    parts = np.bincount(np.asarray(log.rows, np.int64), minlength=count)
    first = np.cumsum(np.maximum(parts, 1)) - np.maximum(parts, 1)
    return np.where(parts > 0, -1, first)


def _move(edits: pa.Table, moved: np.ndarray) -> pa.Table:
    import pyarrow as pa

    rows = edits.column("row").to_numpy()
    found = np.where(rows < 0, -1, moved[rows])
    return edits.set_column(edits.schema.get_field_index("row"), "row", pa.array(found))
