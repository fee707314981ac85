"""A token store: a folder with the tokens of many documents and a table that says what each document is."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.tokens.megatron import read_index

MASK = "mask"
"""Column of `documents.parquet`, list<int32>: start and stop of each span of tokens without loss."""
_NO_SPAN = np.zeros((0, 2), np.int32)


class TokenStore:
    """Reads `tokens.bin`, `tokens.idx` and `documents.parquet`; tokens are memory-mapped, never loaded whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "tokens.idx").exists():
            raise UserError("there is no token store here (no tokens.idx)", where=str(folder))
        self.lengths, self.offsets, dtype = read_index(folder / "tokens.idx")
        size = int(self.lengths.sum())
        empty = np.zeros(0, dtype)
        self._tokens = np.memmap(folder / "tokens.bin", dtype=dtype, mode="r") if size else empty
        if len(self._tokens) != size:
            raise UserError(
                f"tokens.bin holds {len(self._tokens):,} tokens, tokens.idx promises {size:,}", where=str(folder)
            )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """Tokens of all documents, begin and end marks included."""
        return len(self._tokens)

    def read(self, document: int, start: int = 0, length: int | None = None) -> np.ndarray:
        """Tokens [start, start + length) of a document, in the stored type."""
        first = int(self.offsets[document])
        stop = int(self.lengths[document]) if length is None else start + length
        return self._tokens[first + start : first + stop]

    def without_loss(self, document: int) -> np.ndarray:
        """int32 [k, 2]: the spans [start, stop) of a document's tokens that are not trained on."""
        if self._masks is None:
            return _NO_SPAN
        spans, first = self._masks
        return spans[first[document] : first[document + 1]].reshape(-1, 2)

    @cached_property
    def _masks(self) -> tuple[np.ndarray, np.ndarray] | None:
        """All spans one behind another, flat, and where each document's begin; None where no document has any."""
        import pyarrow.parquet as pq

        table = self.folder / "documents.parquet"
        if not table.exists() or MASK not in pq.read_schema(table).names:
            return None
        column = pq.read_table(table, columns=[MASK])[MASK].combine_chunks()
        return column.values.to_numpy(), column.offsets.to_numpy().astype(np.int64)

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """The document table as arrays by column name: strings as objects, numbers as they are."""
        import pyarrow.parquet as pq

        table = pq.read_table(self.folder / "documents.parquet")
        return {name: _array(table[name]) for name in table.column_names if name != MASK}


def _array(column: Any) -> np.ndarray:
    return np.asarray(column.to_pylist(), dtype=object) if str(column.type) == "string" else column.to_numpy()
