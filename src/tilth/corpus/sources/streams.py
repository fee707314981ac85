"""Bytes and lines of plain, gzip and zstd files: streamed, and honest about files that are torn."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK = 1 << 18
_HEAD = 64


@dataclass
class Torn:
    """Why a stream ended early and how many of its compressed bytes were not turned into text."""

    reason: str
    unread_bytes: int


class Stream:
    """The decompressed bytes of a file, in pieces; after the last piece `torn` says whether the file was whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn: Torn | None = None
        self.consumed = 0
        """Bytes of the file that the pieces so far were made of."""

    def __iter__(self) -> Iterator[bytes]:
        match self.path.suffix.lower():
            case ".zst" | ".zstd":
                yield from self._unpack("zstd", _zstd)
            case ".gz":
                yield from self._unpack("gzip", lambda: zlib.decompressobj(wbits=31))
            case _:
                with self.path.open("rb") as file:
                    while piece := file.read(_CHUNK):
                        self.consumed += len(piece)
                        yield piece

    def _unpack(self, name: str, start: Any) -> Iterator[bytes]:
        """Members (frames) one after another, as `cat a.gz b.gz` makes them. Zero padding at the end is allowed."""
        size, fruitless = self.path.stat().st_size, 0
        unpack, pending, members = None, b"", 0
        with self.path.open("rb") as file:
            while pending := pending or file.read(_CHUNK):
                if unpack is None:
                    if members and not pending.strip(b"\0"):
                        self.consumed, pending = self.consumed + len(pending), b""
                        continue
                    unpack = start()
                try:
                    piece = unpack.decompress(pending)
                except Exception as error:  # zlib.error or zstandard.ZstdError, neither of which is an OSError
                    wrong = f"not {name} data" if not members and not self.consumed else f"damaged {name} data"
                    self.torn = Torn(f"{wrong}: {error}", size - self.consumed + fruitless)
                    return
                rest = unpack.unused_data
                used = len(pending) - len(rest)
                self.consumed, fruitless = self.consumed + used, 0 if piece else fruitless + used
                pending = rest
                if unpack.eof:
                    unpack, members, fruitless = None, members + 1, 0
                if piece:
                    yield piece
        if unpack is not None:
            self.torn = Torn(f"torn: the file ends inside a {name} frame", fruitless)


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj()


@dataclass(slots=True)
class Line:
    """One line without its newline; `data` is None where it was longer than the limit."""

    number: int
    data: bytes | None
    size: int
    whole: bool = True
    """False for a last line that a tear cut off."""
    quotes: int = 0
    """Of a line longer than the limit: how many quotation marks it holds ..."""
    head: bytes = b""
    """... and its first bytes."""


def lines(stream: Stream, limit: int) -> Iterator[Line]:
    """The lines of a stream, numbered from 1. Memory is bounded by `limit` bytes a line."""
    held: list[bytes] = []
    number, size, quotes, head = 1, 0, 0, b""

    def line(whole: bool = True) -> Line:
        if size <= limit:
            return Line(number, b"".join(held), size, whole)
        return Line(number, None, size, whole, quotes, head)

    for piece in stream:
        first, *others = piece.split(b"\n")
        held.append(first)
        size += len(first)
        if size > limit:
            quotes += sum(part.count(b'"') for part in held)
            head, held = head or b"".join(held)[:_HEAD], []
        for other in others:
            yield line()
            number, held, size, quotes, head = number + 1, [other], len(other), 0, b""
            if size > limit:
                quotes, head, held = other.count(b'"'), other[:_HEAD], []
    if size or stream.torn:
        yield line(whole=stream.torn is None)
