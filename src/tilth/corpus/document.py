"""What a document is: its columns, their Arrow types, and the rules for ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tilth.base.expression import Condition

LABELS = ("domain", "language", "source", "url", "date", "license")
"""String columns that say where a document comes from; an empty string where unknown."""

COLUMNS = ("id", "text", *LABELS, "parent", "meta")
"""Columns of every document, in order. Measured columns (`signal.NAME`) follow them."""

SIGNAL = "signal."
"""Prefix of measured columns."""

HASH, MINHASH = SIGNAL + "hash", SIGNAL + "minhash"
"""Columns of the content hash and of the MinHash signature."""
SIGNATURE = 112
"""32-bit values a signature."""

HOLDOUT = "holdout"
"""A boolean column that only shards between two passes carry: the document belongs to the hold-out."""


def schema() -> pa.Schema:
    """The Arrow schema of a document without signals."""
    import pyarrow as pa

    return pa.schema([(name, pa.large_string() if name == "text" else pa.string()) for name in COLUMNS])


def rejection_fields() -> list[pa.Field]:
    """The columns that a rejected document carries behind its own."""
    import pyarrow as pa

    return [
        pa.field("step", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("partner", pa.string()),
    ]


def edit_schema() -> pa.Schema:
    """The Arrow schema of the edit log; offsets are in characters of the text before the step."""
    import pyarrow as pa

    return pa.schema(
        [("id", pa.string()), ("step", pa.string()), ("kind", pa.string()), ("start", pa.int64()), ("end", pa.int64())]
    )


def record_id(file: str, record: int) -> str:
    """The id of a document whose source gave none: the file's name and the number of the record in it, from 1."""
    return f"{file}#{record}"


MADE_DISTINCT = r"~[0-9]+\.[0-9]+$"
"""How the ids end that `distinct_id` makes. One that came so is made anew: else it might be the same as a made one."""


def distinct_id(own: str, unit: int, row: int) -> str:
    """The id of a document whose own id stands in the corpus already: unit and row make it unique; once is enough."""
    end = f"~{unit}.{row}"
    return own if own.endswith(end) else own + end


def texts_of(table: pa.Table) -> pa.LargeStringArray:
    """The text column as one Arrow chunk, which is what the kernels read."""
    import pyarrow as pa

    column = table.column("text")
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [_empty()])


def text_bytes(table: pa.Table) -> np.ndarray:
    """UTF-8 bytes of each document's text, int64."""
    import numpy as np
    import pyarrow as pa

    texts = texts_of(table)
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int64, count=len(texts) + 1 + texts.offset)[texts.offset :]
    assert isinstance(texts, pa.LargeStringArray)
    return np.diff(offsets)


def by_domain(table: pa.Table) -> list[tuple[str, int, int]]:
    """Each domain with its documents and the bytes of their texts, in the order of their appearance."""
    import numpy as np

    domains = table.column("domain").combine_chunks().dictionary_encode()
    codes = domains.indices.to_numpy()
    sizes = np.bincount(codes, text_bytes(table)).astype(np.int64).tolist()
    return list(zip(domains.dictionary.to_pylist(), np.bincount(codes).tolist(), sizes, strict=True))


def rows_where(condition: Condition, table: pa.Table) -> np.ndarray:
    """bool [N]: the rows for which a condition over the table's columns holds."""
    return condition({name: table.column(name).to_numpy() for name in condition.names}, len(table))


def _empty() -> pa.LargeStringArray:
    import pyarrow as pa

    return pa.array([], pa.large_string())
