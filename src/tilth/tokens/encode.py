"""Documents to a token store: each Parquet file is a unit of work, the parts are joined in order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base.files import atomic_file
from tilth.base.pool import Workers, map_units
from tilth.base.progress import Progress
from tilth.tokens.megatron import token_type, write_index
from tilth.tokens.tokenizer import Tokenizer

TABLE = ("id", "domain", "source", "language", "repeat")
_ROWS = 256
"""Documents in memory at a time."""


def encode_files(
    files: Sequence[Path], tokenizer: Path, out: Path, work: Path, *, workers: Workers | int = 1, label: str = "tokens"
) -> dict[str, Any]:
    """Encode the documents of Parquet `files` into the token store `out`; returns documents, tokens and bytes.

    Finished parts stay in `work`, which the caller removes, so that a killed run goes on where it was. The store is the
    same for any number of workers.
    """
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    parts = [(file, work / f"part-{i:05d}") for i, file in enumerate(files)]
    with Progress(label, total=len(parts), unit="files") as bar:
        for _ in map_units(partial(_encode_part, tokenizer=tokenizer), parts, workers):
            bar.add()
    return join_parts([part for _, part in parts], out, token_type(Tokenizer.load(tokenizer).vocabulary_size))


def _encode_part(unit: tuple[Path, Path], tokenizer: Path) -> None:
    """One Parquet file to `PART.bin` and, last, `PART.parquet` (the part's document table)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, part = unit
    table_file = part.with_suffix(".parquet")
    if table_file.exists():
        return
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the pool is the parallelism
    coder = Tokenizer.load(tokenizer)
    dtype = token_type(coder.vocabulary_size)
    reader = pq.ParquetFile(file)
    kept = [name for name in reader.schema_arrow.names if name in TABLE or _is_plain_signal(reader.schema_arrow, name)]
    tables = []
    with atomic_file(part.with_suffix(".bin")) as aside, aside.open("wb") as out:
        for batch in reader.iter_batches(batch_size=_ROWS, columns=["text", *kept]):
            texts = batch.column("text").to_pylist()
            documents = [coder.document(ids) for ids in coder.encode_batch(texts)]
            for ids in documents:
                out.write(ids.astype(dtype).tobytes())
            table = pa.Table.from_batches([batch.select(kept)])
            table = table.append_column("tokens", pa.array([len(d) for d in documents], pa.int64()))
            table = table.append_column("bytes", pa.array([len(t.encode()) for t in texts], pa.int64()))
            tables.append(table)
    with atomic_file(table_file) as aside:
        pq.write_table(
            pa.concat_tables(tables) if tables else _empty(reader.schema_arrow, kept), aside, compression="zstd"
        )


def _is_plain_signal(schema: Any, name: str) -> bool:
    """Numbers and strings travel on; signatures and hashes are of no use behind the corpus."""
    return name.startswith("signal.") and not str(schema.field(name).type).startswith("fixed_size_binary")


def _empty(schema: Any, kept: list[str]) -> Any:
    import pyarrow as pa

    fields = [schema.field(name) for name in kept]
    return pa.schema([*fields, ("tokens", pa.int64()), ("bytes", pa.int64())]).empty_table()


def join_parts(parts: list[Path], out: Path, dtype: np.dtype) -> dict[str, Any]:
    """Put the parts `PART.bin` and `PART.parquet` one behind another, and write index and table of the whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables([pq.read_table(p.with_suffix(".parquet")) for p in parts], promote_options="default")
    with atomic_file(out / "tokens.bin") as aside, aside.open("wb") as target:
        for part in parts:
            with part.with_suffix(".bin").open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 22)
    lengths = table["tokens"].to_numpy()
    write_index(out / "tokens.idx", lengths, dtype)
    with atomic_file(out / "documents.parquet") as aside:
        pq.write_table(table, aside, compression="zstd")
    return {"documents": len(lengths), "tokens": int(lengths.sum()), "bytes": int(table["bytes"].to_numpy().sum())}
