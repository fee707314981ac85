"""Files that are either whole or absent, and hashes of what they hold."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError

NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of the disk is used up",
    errno.EFBIG: "no file may be as large here, by a limit of the file system or of `ulimit -f`",
}
"""What the system means where a file cannot be written to its end."""


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it is flushed to disk and renamed to `path`, else removed.

    The file's mode follows the umask, whatever the library that wrote it thinks (some make files for the owner alone).
    UserError where no file can stand at `path`; a full disk stays an OSError, which a run may survive.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _place_of(path):
        _refuse_what_is_no_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _usual_mode(aside)
    try:
        yield aside
        with names_full(path):
            aside.chmod(mode)
            sync(aside)
            os.replace(aside, path)
            sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def names_full(path: Path) -> Iterator[None]:
    """In the block `path` is written and nothing else: where there is no room for it, the error gets its name, which
    the handle that was written to does not know.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM and error.filename is None:
            error.filename = str(path)
        raise


def _usual_mode(unused: Path) -> int:
    """The mode of a new file, asked of the file system: the umask cannot be read without being set."""
    unused.touch()
    mode = unused.stat().st_mode & 0o777
    unused.unlink()
    return mode


def check_writable(path: Path) -> None:
    """UserError if no file could be written to `path`; nothing is left there. For what is written much later."""
    with _place_of(path):
        _refuse_what_is_no_file(path)
        there = next(folder for folder in path.absolute().parents if folder.exists())
        _usual_mode(there / f".{path.name}.{os.getpid()}.tmp")


def make_folder(path: Path) -> None:
    """Make a folder and those around it; UserError where none can be."""
    with _place_of(path):
        path.mkdir(parents=True, exist_ok=True)


def _refuse_what_is_no_file(path: Path) -> None:
    if path.is_dir():
        raise UserError("is a folder", where=str(path), hint="give the name of a file in it")
    if path.exists() and not path.is_file():
        raise UserError("is a device and no file", where=str(path), hint="give the name of a file")


@contextlib.contextmanager
def _place_of(path: Path) -> Iterator[None]:
    """What the system says of a place that takes no file, as a sentence of the user's."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        hint = "give a place that you may write to"
        raise UserError(f"cannot be written: {error.strerror}", where=str(path), hint=hint) from None


def clear_leftovers(folder: Path) -> None:
    """Remove what was being written aside in `folder` by a process that was killed; none may still be writing."""
    for left in folder.rglob(".*.tmp"):
        remove(left)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file atomically."""
    with atomic_file(path) as aside, names_full(path):
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Write JSON atomically, indented for people, keys in the order given; None, for machines, is ten times faster."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def strict_json(value: Any, *, indent: int | None = None) -> str:
    """JSON as any reader takes it: NaN and infinities, for which it has no word, are null."""
    return json.dumps(_all_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)


def finite(value: float) -> float | None:
    """What JSON can hold: None for NaN and the infinities."""
    return value if math.isfinite(value) else None


def _all_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _all_finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_all_finite(one) for one in value]
    return finite(value) if isinstance(value, float) else value


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sync(path: Path) -> None:
    """Force a file's or folder's content to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish_folder(aside: Path, final: Path) -> None:
    """Flush every file of the finished folder `aside` and rename it to `final` in one step."""
    for file in list_files(aside):
        sync(aside / file)
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(aside, final)
    sync(final.parent)


def list_files(folder: Path) -> list[str]:
    """Every file below `folder`, as sorted relative POSIX paths."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def artifact_fault(folder: Path) -> str | None:
    """Why an artifact cannot be used, or None: its description and its files, by name and size; its report is read.

    A folder is renamed into place only when it is complete; what is missing or shorter was damaged later.
    """
    try:
        sizes = read_json(folder / "artifact.json")["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return "artifact.json is missing or not readable"
    for name, size in sizes.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size:,} bytes instead of {size:,}"
    if "report.json" in sizes:
        try:
            read_json(folder / "report.json")
        except (OSError, ValueError):
            return "report.json is not readable"
    return None


def canonical_json(value: Any) -> str:
    """One text for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """16 hex digits that name a plain JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of the last change in nanoseconds; zeros where there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def check_unchanged(path: Path, before: tuple[int, int]) -> None:
    """UserError where a file has another stamp than `before`: what was read is not what its hash says."""
    if stamp(path) != before:
        hint = "run again, once nobody writes to it"
        raise UserError("the file changed while it was read", where=str(path), hint=hint)


class ContentHashes:
    """SHA-256 of input files, remembered by (path, size, modification time) so that a file is read for it once."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.known: dict[str, list[Any]] = {}
        no_cache = (FileNotFoundError, NotADirectoryError, ValueError, TypeError)  # the last two: damaged, made anew
        with contextlib.suppress(*no_cache):
            self.known = dict(read_json(cache))
        self.bytes_read = 0

    def of(self, path: Path) -> str:
        """The content hash of `path`."""
        now = [*stamp(path)]
        entry = self.known.get(str(path))
        if entry is None or entry[:2] != now:
            entry = [*now, digest_file(path)]
            self.bytes_read += now[0]
            self.known[str(path)] = entry
        return str(entry[2])

    def save(self) -> None:
        """Keep what was learnt for the next run."""
        if self.bytes_read:
            write_json(self.cache, self.known)
