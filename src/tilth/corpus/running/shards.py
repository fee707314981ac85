"""Parquet files that come out the same to the byte for the same rows, and reading them in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.files import atomic_file, names_full
from tilth.corpus.document import HASH, LABELS, MINHASH, text_bytes
from tilth.corpus.running.clock import READ, WRITE, each, spent

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_BYTES = 8 * 2**20
ROW_GROUP_ROWS = 32_768
"""A row group ends where its text or its number of rows reaches these: what a reader must hold at a time."""


class ShardWriter:
    """Writes one Parquet file. Tables are gathered into row groups, so the cuts follow from the rows alone.

    `passing` files are read by the next pass and by nobody else: LZ4 is written and read twice as fast as zstd, for
    files a third larger. zstd's level 1, for what stays, takes half the time of 3, for files a fifth larger.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, passing: bool = False) -> None:
        import pyarrow.parquet as pq

        self._stack = atomic_file(path)
        self._path = path
        self.schema = schema
        names = set(schema.names)
        codec = "lz4" if passing else "zstd"
        self._writer = pq.ParquetWriter(
            self._stack.__enter__(),
            schema,
            compression={n: "none" if n in (HASH, MINHASH) else codec for n in schema.names},
            use_dictionary=[n for n in (*LABELS, "step", "rule", "kind") if n in names],
            write_statistics=False,
            store_schema=True,
        )
        self._held: list[pa.Table] = []
        self._bytes = self._rows = 0
        self.rows = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            with spent(WRITE), names_full(self._path):
                if error[0] is None:
                    self._flush()
                self._writer.close()
        except OSError as failed:  # the disk is full: what was written goes, as for any other error
            self._stack.__exit__(type(failed), failed, failed.__traceback__)
            raise
        self._stack.__exit__(*error)

    def write(self, table: pa.Table) -> None:
        """Add rows; columns are put into the file's order and types."""
        with spent(WRITE), names_full(self._path):
            self._gather(table if table.schema == self.schema else table.select(self.schema.names).cast(self.schema))

    def _gather(self, table: pa.Table) -> None:
        self.rows += len(table)
        sizes = text_bytes(table) if "text" in self.schema.names else np.zeros(len(table), np.int64)
        start = 0
        while start < len(table):
            ends = np.searchsorted(np.cumsum(sizes[start:]), max(ROW_GROUP_BYTES - self._bytes, 1)) + 1
            stop = min(len(table), start + int(ends), start + ROW_GROUP_ROWS - self._rows)
            self._held.append(table.slice(start, stop - start))
            self._bytes += int(sizes[start:stop].sum())
            self._rows += stop - start
            if self._bytes >= ROW_GROUP_BYTES or self._rows >= ROW_GROUP_ROWS:
                self._flush()
            start = stop

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.concat_tables(self._held), row_group_size=self._rows)
        self._held, self._bytes, self._rows = [], 0, 0


def shard_paths(folder: Path) -> list[Path]:
    """The Parquet files of a folder of documents, in the corpus's order."""
    return sorted(folder.glob("*.parquet"))


def read_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of a file, one at a time; an empty table for a file without rows."""
    return each(READ, _groups(path, columns))


def _groups(path: Path, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=False) as file:
        if not file.num_row_groups:
            yield file.read(columns=list(columns) if columns is not None else None)
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=list(columns) if columns is not None else None, use_threads=False)


def count_rows(path: Path) -> int:
    """Rows of a file, from its footer."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def text_size(path: Path) -> int:
    """Bytes of the text column of a file, from its footer; each text counts four more."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    column = metadata.schema.to_arrow_schema().get_field_index("text")
    groups = range(metadata.num_row_groups)
    return sum(int(metadata.row_group(i).column(column).total_uncompressed_size) for i in groups)


def as_numpy(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers as they are, strings as objects, fixed-size binary as uint8 [N, bytes]."""
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_fixed_size_binary(array.type):
        width = array.type.byte_width
        flat = np.frombuffer(array.buffers()[1] or b"", np.uint8, len(array) * width, array.offset * width)
        return flat.reshape(len(array), width)
    return array.to_numpy(zero_copy_only=False)
