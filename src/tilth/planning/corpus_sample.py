"""A sample of input files, to be put through the real chain: pieces of files, each with the same chance as its bytes.

A file of s bytes is drawn with probability min(1, f s / h) and then gives h bytes from its beginning, f being the
sample's share of the whole: so every file is expected to give f of its bytes. h is the whole of a small file, `PIECE`
bytes of a larger one, more of a very large one. The draw is systematic (Madow, 1949; Cochran, "Sampling Techniques",
1977, section 9A): the probabilities of all files, by size, stand end to end, and each place a whole number behind a
start that the seed draws falls on a file that is drawn. So a sample is of all sizes, and as large as was asked for but
for about a piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tilth.base.files import stamp
from tilth.base.keyed import uniform
from tilth.corpus.sources import InputFile, Stream, is_json_lines

PIECE = 2**20
"""Bytes, packed as they lie, that a larger file gives at least."""
_CUT = ("jsonl", "csv", "parquet")
"""Formats that have many records in a file; of the others a file is taken whole."""


@dataclass(frozen=True)
class Drawn:
    """The files of a sample (pieces lie in a folder of the caller's), and what they stand for."""

    files: tuple[InputFile, ...]
    bytes: int
    """Of the input, packed as it lies, that these files hold ..."""
    of_bytes: int
    """... of so many in the whole input."""
    of_files: int
    units: int
    """Units of work in the whole input: what different workers can do at the same time at most."""
    largest: int
    """Bytes of the largest unit."""

    @property
    def whole(self) -> bool:
        """Whether the sample is the input itself."""
        return self.bytes == self.of_bytes


def draw(files: Sequence[InputFile], size: int, seed: int, folder: Path) -> Drawn:
    """A sample of about `size` bytes; pieces of files are written below `folder`. All of it, if it has no more."""
    from tilth.corpus.sources import plan_units

    units = [sum(file.size for file in unit.files) for unit in plan_units(files)]
    total = sum(units)
    share = 1.0 if size >= total else size / total
    drawn = [(file, file.size) for file in files] if share == 1 else _pieces(files, share, seed, folder)
    if not drawn:
        first = min(files, key=lambda file: uniform(seed, "sample", file.name))
        drawn = [head(first, PIECE if first.format in _CUT else first.size, folder / "0")]
    taken = sum(length for _, length in drawn)
    return Drawn(tuple(file for file, _ in drawn), taken, total, len(files), len(units), max(units))


def _pieces(files: Sequence[InputFile], share: float, seed: int, folder: Path) -> list[tuple[InputFile, int]]:
    """The drawn files or pieces of them, and how many bytes of the input each one holds."""
    gives = [
        file.size if file.format not in _CUT else min(file.size, max(PIECE, round(share * file.size))) for file in files
    ]
    chosen, at = [], uniform(seed, "start")
    for number in sorted(range(len(files)), key=lambda i: (files[i].size, uniform(seed, "sample", files[i].name))):
        reached = at + min(1.0, share * files[number].size / max(gives[number], 1))
        if int(reached) > int(at):
            chosen.append(number)
        at = reached
    return [head(files[number], gives[number], folder / str(number)) for number in sorted(chosen)]


def head(file: InputFile, wanted: int, folder: Path) -> tuple[InputFile, int]:
    """The beginning of a file in its format and packing; the file itself where it cannot be cut or has no more."""
    if wanted >= file.size:
        return file, file.size
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.path.name
    try:
        taken = _head_of_rows(file, wanted, path) if file.format == "parquet" else _head_of_lines(file, wanted, path)
    except OSError:
        taken = None  # the chain will say what is wrong with it
    if taken is None:
        return file, file.size
    size, modified = stamp(path)
    return replace(file, path=path, size=size, modified=modified), taken


def _head_of_lines(file: InputFile, wanted: int, path: Path) -> int | None:
    """Whole lines from the beginning; of CSV, lines at whose end no quotation mark is open. Other JSON is not cut."""
    if file.format == "jsonl" and not is_json_lines(file.path, PIECE):
        return None
    stream, head = Stream(file.path), bytearray()
    for piece in stream:
        head += piece
        if stream.consumed >= wanted and (cut := _end_of_line(head, len(head) * wanted // stream.consumed, file)):
            path.write_bytes(_packed(bytes(head[:cut]), path.suffix.lower()))
            return round(stream.consumed * cut / len(head))
    return None


def _end_of_line(head: bytearray, wanted: int, file: InputFile) -> int:
    """Where the first line ends that reaches `wanted`, the last that `head` holds if none does; 0 if it holds none."""
    cut = head.find(b"\n", max(wanted - 1, 0)) + 1 or head.rfind(b"\n") + 1
    while file.format == "csv" and head[:cut].count(b'"') % 2:
        cut = head.rfind(b"\n", 0, cut - 1) + 1
    return cut


def _packed(data: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        packer = zlib.compressobj(wbits=31)
        return packer.compress(data) + packer.flush()
    if suffix in (".zst", ".zstd"):
        import zstandard

        return zstandard.compress(data)
    return data


def _head_of_rows(file: InputFile, wanted: int, path: Path) -> int | None:
    """Rows from the beginning of a Parquet file, in proportion."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file.path) as source:
            rows = source.metadata.num_rows
            limit, taken = -(-rows * wanted // file.size), 0
            with pq.ParquetWriter(path, source.schema_arrow, compression="zstd") as writer:
                for batch in source.iter_batches(batch_size=min(limit, 4096)):
                    part = batch.slice(0, limit - taken)
                    writer.write_batch(part)
                    taken += len(part)
                    if taken >= limit:
                        return round(file.size * taken / rows)
    except pa.ArrowException:
        pass
    return None
