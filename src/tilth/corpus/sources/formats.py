"""One reader a format: a file in, documents and unreadable records out, in the file's order."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tilth.corpus.sources.json_items import array_items, json_layout, spread_objects
from tilth.corpus.sources.json_lines import parse_json
from tilth.corpus.sources.records import Kind, Mapper, Row, Unusable
from tilth.corpus.sources.streams import Line, Stream, Torn, lines


@dataclass(slots=True)
class Unreadable:
    """A record that could not be read: `file:line`, why, how many bytes are lost with it, and of which kind that is."""

    file: str
    line: int
    reason: str
    bytes: int
    kind: Kind = "record"

    @property
    def ends_file(self) -> bool:
        """Whether it stands for all that follows in its file, however many records that is."""
        return self.kind in ("end", "file")


Record = Row | Unreadable


class Sized(Protocol):
    """What a mapper makes of a record."""

    @property
    def bytes(self) -> int:
        """Its size."""
        ...


Made = TypeVar("Made", bound=Sized, covariant=True)


class RecordMapper(Protocol[Made]):
    """Makes something of each record of the file called `file`; raises `Unusable` with the reason where it cannot."""

    file: str

    def row(self, record: Any, number: int) -> Made:
        """Of record `number`, from 1."""
        ...


def read_jsonl(path: Path, mapper: RecordMapper[Made], limit: int) -> Iterator[Made | Unreadable]:
    """JSON Lines, one JSON array of objects, or objects that span lines; empty lines are no records. Where lines are no
    records, `line` is the item's number.

    A tear is one unreadable record, whatever came before it is kept.
    """
    stream, found = json_records(path, limit)
    for line in found:
        if line.whole:
            yield _json_record(line, mapper, limit)
        else:
            yield from _torn_line(line, stream, mapper)


def json_records(path: Path, limit: int) -> tuple[Stream, Iterator[Line]]:
    """What may be a record each: lines that are not blank, the items of an array, or objects that span lines; and the
    stream behind them.

    A torn one is given however it looks.
    """
    stream = Stream(path)
    found = _filled(stream, limit)
    begin = list(islice(found, 2))
    layout = json_layout(begin)
    if layout == "lines":
        return stream, chain(begin, found)
    stream = Stream(path)
    return stream, (array_items if layout == "array" else spread_objects)(stream, limit)


def is_json_lines(path: Path, limit: int) -> bool:
    """Whether a file of JSON can be cut behind any of its lines, by a look at the first two of them."""
    return json_layout(list(islice(_filled(Stream(path), limit), 2))) == "lines"


def _filled(stream: Stream, limit: int) -> Iterator[Line]:
    """The lines that are not blank; a torn one however it looks."""
    return (line for line in lines(stream, limit) if not line.whole or line.data is None or line.data.strip())


def too_long(limit: int) -> str:
    """The reason why a record of more bytes is not read."""
    return f"longer than {limit:,} bytes"


def _json_record(line: Line, mapper: RecordMapper[Made], limit: int) -> Made | Unreadable:
    if line.data is None:
        return Unreadable(mapper.file, line.number, too_long(limit), line.size, "too_long")
    try:
        data = line.data
        if line.number == 1 and data.startswith(codecs.BOM_UTF8):
            data = data[3:]
        return mapper.row(parse_json(data), line.number)
    except Unusable as error:
        found = error
    except UnicodeDecodeError as error:
        found = Unusable(f"not UTF-8: byte 0x{line.data[error.start]:02x} at {error.start}")
    except ValueError as error:
        found = Unusable(f"not JSON: {error}", "format")
    except RecursionError:
        found = Unusable("JSON that is nested too deeply", "format")
    return Unreadable(mapper.file, line.number, str(found), line.size, found.kind)


def _torn_line(line: Line, stream: Stream, mapper: RecordMapper[Made]) -> Iterator[Made | Unreadable]:
    """What stands in front of the tear: a document if it is whole, else part of what is lost."""
    torn = stream.torn or Torn("cut off: the array or object does not end", 0)
    lost = torn.unread_bytes
    if line.data:
        last = _json_record(line, mapper, line.size)
        if isinstance(last, Unreadable):
            lost += line.size
        else:
            yield last
    yield Unreadable(mapper.file, line.number, torn.reason, lost, "end")


def read_parquet(path: Path, mapper: RecordMapper[Made], limit: int) -> Iterator[Made | Unreadable]:
    """Parquet of any columns. `line` of an unreadable record is its row, from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row, size = 0, path.stat().st_size
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        yield Unreadable(mapper.file, 0, f"not a Parquet file: {_first_line(error)}", size, "file")
        return
    with file:
        columns = [name for name in file.schema_arrow.names if not name.startswith("signal.")]
        for group in range(file.num_row_groups):
            try:
                for batch in file.iter_batches(batch_size=256, row_groups=[group], columns=columns):
                    for record in batch.to_pylist():
                        row += 1
                        yield _mapped(_without_nan(record), row, mapper, limit)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                bytes_lost = file.metadata.row_group(group).total_byte_size
                reason = f"damaged row group {group}: {_first_line(error)}"
                yield Unreadable(mapper.file, row + 1, reason, bytes_lost, "end")


def _without_nan(record: dict[str, Any]) -> dict[str, Any]:
    """A NaN in a column of numbers is how pandas writes that there is none."""
    return {name: None if isinstance(value, float) and value != value else value for name, value in record.items()}


def _mapped(record: object, number: int, mapper: RecordMapper[Made], limit: int) -> Made | Unreadable:
    try:
        row = mapper.row(record, number)
    except Unusable as error:
        return Unreadable(mapper.file, number, str(error), len(str(record)), error.kind)
    if row.bytes > limit:
        return Unreadable(mapper.file, number, too_long(limit), row.bytes, "too_long")
    return row


def read_csv(path: Path, mapper: Mapper, limit: int) -> Iterator[Record]:
    """CSV or TSV with a header. `line` of an unreadable record is the line on which it ends.

    Cells that have no column of their own, beyond the header or below one of several empty names, are the list `more`.
    """
    rows = CsvRows(path, limit)
    header = next(rows, None)
    if isinstance(header, Unusable):
        kind: Kind = "too_long" if header.kind == "too_long" else "file"
        yield Unreadable(mapper.file, rows.line, f"no header: {header}", path.stat().st_size, kind)
        return
    named = [name for name in header or () if name]
    if doubled := next((name for name in named if named.count(name) > 1), None):
        reason = f"the header names the column {doubled!r} twice"
        yield Unreadable(mapper.file, rows.line, reason, path.stat().st_size, "file")
        return
    unnamed = [i for i, name in enumerate(header or ()) if not name][:-1]
    for number, row in enumerate(rows if header else (), start=1):
        assert header is not None
        if not isinstance(row, list):
            yield Unreadable(mapper.file, rows.line, str(row), rows.bytes, row.kind)
            continue
        record: dict[str, object] = dict(zip_longest(header, row[: len(header)]))
        if more := [row[i] for i in unnamed if i < len(row) and row[i]] + row[len(header) :]:
            record["more" if "more" not in header else "beyond the header"] = more
        mapped = _mapped(record, number, mapper, limit)
        if isinstance(mapped, Unreadable):
            mapped.line = rows.line
            if rows.not_utf8 and mapped.kind == "record":
                mapped.reason = rows.not_utf8
        yield mapped
    if torn := rows.stream.torn:
        yield Unreadable(mapper.file, rows.line + 1, torn.reason, torn.unread_bytes + rows.bytes, "end")


class CsvRows:
    """The rows of a CSV file that are not blank: their fields, or the reason why there are none."""

    def __init__(self, path: Path, limit: int) -> None:
        self.stream, self.limit = Stream(path), limit
        csv.field_size_limit(min(limit, 2**31 - 1))
        self.reader = csv.reader(self._lines(), delimiter="\t" if ".tsv" in path.name.lower() else ",")
        self.line = 0
        """The line on which the row ends."""
        self.bytes = 0
        """Bytes of the lines of the row; after the last row, of what a tear cut off."""
        self.not_utf8 = ""
        """What in the row is not UTF-8, if anything: those bytes are lone surrogates in its fields."""
        self._too_long = self._ended = False

    def __iter__(self) -> Iterator[list[str] | Unusable]:
        return self

    def __next__(self) -> list[str] | Unusable:
        while True:
            self.bytes, self._too_long, self.not_utf8 = 0, False, ""
            begin = self.reader.line_num + 1
            row: list[str] | Unusable
            try:
                row = next(self.reader)
            except csv.Error as error:
                row = Unusable(f"not CSV: {error}", "format")
            if self._ended and self.stream.torn:
                raise StopIteration  # the tear runs through a field that was opened on a line before it
            self.line = self.reader.line_num
            if self._ended:
                where = f"in the record that begins on line {begin}"
                return Unusable(f"not closed: a quotation mark opens a field {where}", "end")
            if self._too_long:
                return Unusable(too_long(self.limit), "too_long")
            if row:
                return row

    def _lines(self) -> Iterator[str]:
        for line in lines(self.stream, self.limit):
            self.bytes += line.size
            if not line.whole:
                break
            if line.data is None:
                self._too_long = True
                yield '"' * (line.quotes % 2) + "\n"  # a quoted field goes on behind the line, or ends in it
            else:
                encoding = "utf-8-sig" if line.number == 1 else "utf-8"
                try:
                    yield line.data.decode(encoding) + "\n"
                except UnicodeDecodeError as error:
                    byte = error.object[error.start]
                    reason = f"not UTF-8: byte 0x{byte:02x} at {error.start} of line {line.number}"
                    self.not_utf8 = self.not_utf8 or reason
                    yield line.data.decode(encoding, "surrogateescape") + "\n"
        self._ended = True


def read_text(path: Path, mapper: Mapper, limit: int) -> Iterator[Record]:
    """A text file is one document. Bytes that are no text are one unreadable record."""
    stream, pieces, size = Stream(path), [], 0
    for piece in stream:
        size += len(piece)
        if size > limit:
            yield Unreadable(mapper.file, 0, too_long(limit), max(size, path.stat().st_size), "too_long")
            return
        pieces.append(piece)
    data = b"".join(pieces)
    if data or not stream.torn:
        try:
            text, encoding = decode(data)
            record = {"text": text} | ({"encoding": encoding} if encoding != "utf-8" else {})
            row = mapper.row(record, 1)
            row.id = mapper.file
            yield row
        except Unusable as error:
            yield Unreadable(mapper.file, 0, str(error), len(data))
    if torn := stream.torn:
        yield Unreadable(mapper.file, data.count(b"\n") + 1, torn.reason, torn.unread_bytes, "end")


def read_foreign(path: Path, mapper: Mapper, limit: int) -> Iterator[Record]:
    """A file of a source tree whose format is not read."""
    yield Unreadable(mapper.file, 0, f"{''.join(path.suffixes)} files are not read here", path.stat().st_size)


_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def decode(data: bytes) -> tuple[str, str]:
    """Text and the encoding found: UTF-8, what a byte order mark says, or GB18030 where it reads as common Chinese.

    Raises `Unusable` for anything else. Guessing further would turn unreadable text into wrong text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), "utf-8" if mark == codecs.BOM_UTF8 else encoding
            except UnicodeDecodeError as error:
                raise Unusable(f"not {encoding}, though its byte order mark says so: {error.reason}") from None
    if b"\0" in data[:8192]:
        raise Unusable("binary: it holds zero bytes")
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        if (text := _as_gb18030(data)) is not None:
            return text, "gb18030"
        position, byte = error.start, data[error.start]
        line = data.count(b"\n", 0, position) + 1
        raise Unusable(f"not UTF-8: byte 0x{byte:02x} at {position}, line {line}") from None


_FREQUENT = frozenset("的一是不了在人有我他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生")
"""The most frequent characters of modern Chinese: a quarter of running text, next to nothing of anything else."""


def _as_gb18030(data: bytes) -> str | None:
    """The text, if its Chinese characters are frequent ones.

    Text in Big5, EUC-KR, EUC-JP or Shift-JIS often decodes as GB18030 too, but into characters taken at random.
    """
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return None
    chinese = _CHINESE.findall(text)
    foreign = sum(1 for character in text if ord(character) > 127)
    frequent = sum(1 for character in chinese if character in _FREQUENT)
    return text if len(chinese) >= max(10, 0.7 * foreign) and frequent >= 0.1 * len(chinese) else None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
