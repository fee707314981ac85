"""How much text there is in files that have not been read yet, from a look at the head of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from tilth.corpus.sources import TEXT_NAMES, Stream
from tilth.corpus.sources.formats import CsvRows, json_records

_HEAD = 1 << 20
_LOOKED_AT = 64
_LONGEST = 16 * 2**20
"""Bytes of a record that is held as a whole; a longer one is counted too."""
JSON_SHARE = 0.9
"""Share of a JSON Lines file's bytes that is text (the rest: keys, labels, escapes)."""


def estimate(files: Sequence[tuple[Path, str, int]]) -> tuple[int, int]:
    """(documents, bytes of text) of (path, format, size) files; at most 64 files are looked into, evenly spread.

    What cannot be read counts as no text: reading it will say why.
    """
    chosen = files[:: -(-len(files) // _LOOKED_AT) or 1]
    looked, documents, size = 0, 0.0, 0.0
    for path, kind, length in chosen:
        try:
            match kind:
                case "parquet":
                    found = _in_parquet(path)
                case "jsonl" | "csv":
                    found = _in_records(path, kind, length)
                case "foreign":
                    found = 0.0, 0.0
                case _:
                    found = _in_text(path, length)
        except OSError:
            found = 0.0, 0.0
        looked += length
        documents, size = documents + found[0], size + found[1]
    whole = sum(length for _, _, length in files) / max(looked, 1)
    return round(documents * whole), round(size * whole)


def _in_text(path: Path, length: int) -> tuple[float, float]:
    """One document, and its bytes, from the file's head."""
    stream, size = Stream(path), 0
    for piece in stream:
        size += len(piece)
        if size >= _HEAD:
            break
    else:
        length = stream.consumed  # that was all that can be read
    return (1.0, size * length / stream.consumed) if size else (0.0, 0.0)


def _in_records(path: Path, kind: str, length: int) -> tuple[float, float]:
    """Records and bytes of text of a file, from its head as it will be read: a cell has many lines, an array few."""
    stream, sizes = _in_csv(path) if kind == "csv" else _in_json(path)
    documents = size = read = 0
    for one in sizes:
        if size >= _HEAD and stream.consumed > read:
            break  # `read` bytes of the file hold the records so far
        documents, size, read = documents + 1, size + one, stream.consumed
    else:
        length = stream.consumed
    scale = length / max(read, 1)
    return documents * scale, size * scale * (JSON_SHARE if kind == "jsonl" else 1.0)


def _in_json(path: Path) -> tuple[Stream, Iterator[int]]:
    stream, found = json_records(path, _LONGEST)
    return stream, (line.size for line in found if line.whole)


def _in_csv(path: Path) -> tuple[Stream, Iterator[int]]:
    rows = CsvRows(path, _LONGEST)
    return rows.stream, (rows.bytes for _ in islice(rows, 1, None))


def _in_parquet(path: Path) -> tuple[float, float]:
    """Rows, and unpacked bytes of the text column, from the footer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
    except pa.ArrowException:
        return 0.0, 0.0
    columns = [
        footer.row_group(group).column(column)
        for group in range(footer.num_row_groups)
        for column in range(footer.num_columns)
    ]
    names = {column.path_in_schema for column in columns}
    text = next((name for name in TEXT_NAMES if name in names), None)
    size = sum(column.total_uncompressed_size for column in columns if text in (None, column.path_in_schema))
    return float(footer.num_rows), float(size)
