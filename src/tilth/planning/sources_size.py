"""How much text there is in files that have not been read yet, from a look at the head of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tilth.corpus.sources import TEXT_NAMES, Stream

_HEAD = 1 << 20
_LOOKED_AT = 64
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
            found = _in_parquet(path) if kind == "parquet" else _in_lines(path, kind, length)
        except OSError:
            found = 0.0, 0.0
        looked += length
        documents, size = documents + found[0], size + found[1]
    whole = sum(length for _, _, length in files) / max(looked, 1)
    return round(documents * whole), round(size * whole)


def _in_lines(path: Path, kind: str, length: int) -> tuple[float, float]:
    """Documents and bytes of text of a file, from its head: a line each where the format has lines, else one."""
    stream, head = Stream(path), b""
    for piece in stream:
        head += piece
        if len(head) >= _HEAD:
            break
    else:
        length = stream.consumed  # that was all that can be read
    if not head:
        return 0.0, 0.0
    scale = length / stream.consumed
    share = JSON_SHARE if kind == "jsonl" else 1.0
    return (head.count(b"\n") or 1) * scale if kind in ("jsonl", "csv") else 1.0, len(head) * scale * share


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
