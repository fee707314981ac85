"""Measure: everything that decisions read, in one pass over the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tilth.corpus.document import HASH, MINHASH, SIGNAL, SIGNATURE, texts_of
from tilth.corpus.settings import MeasureSettings
from tilth.corpus.steps import Measure

if TYPE_CHECKING:
    import pyarrow as pa


class MeasureStep(Measure):
    """Statistics of the rules, content hash, MinHash signature, and the language where it is not known.

    `signal.hash` is 16 bytes (two little-endian uint64), `signal.minhash` 448 bytes (112 little-endian uint32).
    """

    VERSION = 3

    def __init__(self, name: str, settings: MeasureSettings) -> None:
        super().__init__(name)
        self.settings = settings

    def adds(self) -> dict[str, str | float | bytes]:
        """Every column of `tilth.text.statistics`, and the hash and the signature."""
        import pyarrow as pa

        from tilth.text import statistics

        signals = {SIGNAL + name: 0.0 for name in statistics(pa.array([], pa.large_string()))}
        return {**signals, HASH: b"", MINHASH: b""}

    def measure(self, table: pa.Table) -> pa.Table:
        """Add the columns, batch by batch, on the calling thread."""
        import pyarrow as pa

        from tilth.text import content_hashes, signatures, statistics

        texts = texts_of(table)
        columns = {SIGNAL + name: pa.array(_compact(values)) for name, values in statistics(texts).items()}
        columns[HASH] = _binary(content_hashes(texts))
        columns[MINHASH] = _binary(signatures(texts, SIGNATURE))
        for name, values in columns.items():
            at = table.schema.get_field_index(name)
            table = table.append_column(name, values) if at < 0 else table.set_column(at, name, values)
        return self._with_language(table, texts)

    def _with_language(self, table: pa.Table, texts: pa.LargeStringArray) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.settings.language == "never" or not len(table):
            return table
        column = table.column("language").combine_chunks()
        wanted = pc.equal(column, "") if self.settings.language == "missing" else pa.array(np.ones(len(table), bool))
        if not pc.any(wanted).as_py():
            return table
        from tilth.corpus.language import identify

        found = pa.array(identify(texts.filter(wanted)), pa.string())
        filled = pc.replace_with_mask(column, wanted, found)
        return table.set_column(table.schema.get_field_index("language"), "language", filled)


def _compact(values: np.ndarray) -> np.ndarray:
    """Half the bytes on disk: single precision is finer than any threshold."""
    return values.astype(np.float32) if values.dtype == np.float64 else values


def _binary(values: np.ndarray) -> pa.FixedSizeBinaryArray:
    """Rows of integers as fixed-size binary, without a copy."""
    import pyarrow as pa

    width = values.shape[1] * values.itemsize
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(values), [None, pa.py_buffer(little)])
