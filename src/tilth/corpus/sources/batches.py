"""The documents of a unit as Arrow tables of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.document import LABELS, SIGNAL, schema
from tilth.corpus.settings import SourceSettings
from tilth.corpus.sources import formats
from tilth.corpus.sources.docstrings import read_docstrings
from tilth.corpus.sources.files import InputFile, Unit
from tilth.corpus.sources.formats import Record, Unreadable
from tilth.corpus.sources.records import Mapper, Row, named_fields

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 8 * 2**20
"""A batch ends with the document that brings its text to so many bytes ..."""
BATCH_DOCUMENTS = 32_768
"""... or at so many documents: their signatures take memory too."""

_READERS: dict[str, Callable[[Path, Mapper, int], Iterator[Record]]] = {
    "jsonl": formats.read_jsonl,
    "parquet": formats.read_parquet,
    "csv": formats.read_csv,
    "text": formats.read_text,
    "docstrings": read_docstrings,
    "foreign": formats.read_foreign,
}


@dataclass
class Batch:
    """Documents in the order of the input, and the records among them that could not be read."""

    table: pa.Table
    unreadable: list[Unreadable]


@dataclass
class _Pending:
    rows: list[Row] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    bytes: int = 0

    def full(self) -> bool:
        count = len(self.rows) + len(self.unreadable)
        return self.bytes >= BATCH_BYTES or count >= BATCH_DOCUMENTS


def source_signals(sources: Sequence[SourceSettings]) -> tuple[str, ...]:
    """Names of the numbers that any source keeps as columns."""
    return tuple(sorted({name for source in sources for name in source.signals}))


def read_unit(unit: Unit, sources: Sequence[SourceSettings], lacking: set[str] | None = None) -> Iterator[Batch]:
    """Every record of the unit: in `table` or in `unreadable`. The cuts between batches depend on the input alone.

    After the last batch `lacking` holds the fields that the source's settings name and no record has.
    """
    signals = source_signals(sources)
    lacking = set() if lacking is None else lacking
    lacking |= {name for file in unit.files for name in named_fields(sources[file.source])}
    pending = _Pending()
    for file in unit.files:
        for record in _read_file(file, sources[file.source], signals, lacking):
            if isinstance(record, Row):
                pending.rows.append(record)
                pending.bytes += len(record.text)
            else:
                pending.unreadable.append(record)
            if pending.full():
                yield Batch(_table(pending.rows, signals), pending.unreadable)
                pending = _Pending()
    if pending.rows or pending.unreadable:
        yield Batch(_table(pending.rows, signals), pending.unreadable)


def _read_file(
    file: InputFile, source: SourceSettings, signals: tuple[str, ...], lacking: set[str]
) -> Iterator[Record]:
    mapper = Mapper(source, file.name, signals, lacking)
    too_long = formats.too_long(source.largest_record)
    try:
        for record in _READERS[file.format](file.path, mapper, source.largest_record):
            if isinstance(record, Unreadable) and record.reason.endswith(too_long):
                record.reason += ", the source's `largest_record`"
            yield record
    except OSError as error:
        yield Unreadable(file.name, 0, f"cannot be read: {error.strerror or error}", file.size)


def _table(rows: list[Row], signals: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa

    labels = zip(*[row.labels for row in rows], strict=True) if rows else [()] * len(LABELS)
    columns = {
        "id": [row.id for row in rows],
        "text": _texts(rows),
        **dict(zip(LABELS, labels, strict=True)),
        "parent": [row.parent for row in rows],
        "meta": [row.meta for row in rows],
    }
    fields = schema()
    arrays = [
        values if isinstance(values, pa.Array) else pa.array(values, fields.field(name).type)
        for name, values in columns.items()
    ]
    for i, name in enumerate(signals):
        arrays.append(pa.array([row.signals[i] for row in rows], pa.float32()))
        fields = fields.append(pa.field(SIGNAL + name, pa.float32()))
    return pa.Table.from_arrays(arrays, schema=fields)


def _texts(rows: list[Row]) -> pa.LargeStringArray:
    """The texts, which are valid UTF-8, joined as they are."""
    import pyarrow as pa

    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row.text) for row in rows], out=offsets[1:])
    data = b"".join([row.text for row in rows])
    return pa.LargeStringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(data))
