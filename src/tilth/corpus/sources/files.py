"""Finding input files and grouping them into units of work."""

from __future__ import annotations

import fnmatch
import functools
import glob
import os
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

from tilth.base.errors import UserError
from tilth.base.files import check_unchanged, stamp
from tilth.corpus.settings import SourceSettings
from tilth.corpus.sources.formats import Record, read_csv, read_jsonl
from tilth.corpus.sources.records import Mapper, Row

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
"""Formats by extension, wherever the file is found."""
NAMED_FORMATS = {".json": "jsonl", ".csv": "csv", ".tsv": "csv"}
"""Formats of files that a path or glob names; in a folder such a file is text like the rest of a source tree,
unless its first records have a text."""
FOREIGN = {
    **dict.fromkeys(
        (".warc", ".wet", ".wat", ".arc", ".html", ".htm"), "take their text out first, as trafilatura does"
    ),
    **dict.fromkeys((".pdf", ".docx", ".epub"), "take their text out first"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), "unpack it first"),
    **dict.fromkeys((".bz2", ".xz"), "unpack it first, or pack it as .gz or .zst"),
}
"""Formats that are not read here, and what to do with them."""
PACKED = (".gz", ".zst", ".zstd")

_TRIED = 4
"""Records of a file in a folder that are looked at to know what it is."""
_SMALL = ("text", "docstrings")
_GROUP_FILES, _GROUP_BYTES = 512, 16 * 2**20


@dataclass(frozen=True)
class InputFile:
    """A file to read. `name` is how ids and errors call it; `source` is the index of its entry under `sources`."""

    path: Path
    name: str
    source: int
    format: str
    size: int
    modified: int
    """Time of the last change in nanoseconds, as the size when the file was found; 0 where there was no such file."""

    @property
    def readable(self) -> bool:
        """Whether its content can be asked for: not so for a broken link, or a file without permission."""
        return self.path.is_file() and os.access(self.path, os.R_OK)

    @property
    def taken_as_text(self) -> bool:
        """Whether it is one text though its name may mean records."""
        return self.format == "text" and self.path.suffix.lower() in NAMED_FORMATS

    @property
    def packed(self) -> bool:
        """Whether its size says less than what it holds."""
        return self.path.suffix.lower() in PACKED

    def check_unchanged(self) -> None:
        """UserError where the file is no longer the one that was found: its name would stand for another text."""
        check_unchanged(self.path, (self.size, self.modified))


@dataclass(frozen=True)
class Unit:
    """What one worker reads at a time: one data file, or a run of small text files of one source."""

    index: int
    files: tuple[InputFile, ...]


def find_files(
    sources: Sequence[SourceSettings],
    base: Path,
    *,
    called: str | Sequence[str] = "corpus.sources",
    hint: str = "paths are relative to the recipe's folder",
) -> list[InputFile]:
    """Every input file, in the order of the sources and by name inside each; a file is read once in a format.

    `called` is what messages call the sources: a field, of which they are the items, or a name for each; `hint` says
    what to look at where nothing matches. Raises `UserError` where a source matches nothing, names a format that is not
    read here, or has a file whose name is not UTF-8.
    """
    if not sources:
        raise UserError("the corpus has no sources", hint="add `sources: [{path: data/*.jsonl.zst}]`")
    names = [f"{called}.{i}" for i in range(len(sources))] if isinstance(called, str) else called
    found: list[InputFile] = []
    seen: dict[tuple[str, str], str] = {}
    for index, source in enumerate(sources):
        matches = list(_matches(source, index, base))
        fresh = [file for file in matches if _once(file) not in seen]
        if not matches:
            raise _nothing_there(source, base, names[index], hint)
        if not fresh:
            readers = " and ".join(dict.fromkeys(seen[_once(file)] for file in matches))
            raise UserError(f"every file of {source.path!r} is read by {readers}", where=names[index], hint="remove it")
        for file in fresh:
            _refuse_unreadable_name(file.path)
            if _once(file) not in seen:
                seen[_once(file)] = names[index]
                found.append(file)
    return found


def would_read(source: SourceSettings, base: Path, path: Path) -> bool:
    """Whether the source reads a file at `path` as soon as there is one; a way there through a link is not seen."""
    root = _root(source, base)
    folder = root if root.is_dir() else _fixed_folder(root)
    if root.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        return False
    parts = path.resolve().relative_to(folder.resolve()).parts
    if root.is_dir():
        return _walked(parts, source.include, source.exclude)
    return _globbed(parts, root.relative_to(folder).parts)


def _walked(parts: Sequence[str], include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether `_walk` gives the file at these parts of a path."""
    above = list(accumulate(parts, "{}/{}".format))
    entered = not any(_left_out(relative, name, include, exclude) for relative, name in zip(above, parts, strict=True))
    return entered and (not include or _matched(above[-1], parts[-1], include))


def _globbed(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether `glob.glob` gives the path of these parts: `**` is any number of folders, wildcards pass over a dot in
    front.
    """
    if not parts or not pattern:
        return not parts and all(part == "**" for part in pattern)
    hidden = parts[0].startswith(".") and not pattern[0].startswith(".")
    if pattern[0] == "**":
        return _globbed(parts, pattern[1:]) or (not hidden and _globbed(parts[1:], pattern))
    return not hidden and fnmatch.fnmatch(parts[0], pattern[0]) and _globbed(parts[1:], pattern[1:])


def _nothing_there(source: SourceSettings, base: Path, name: str, hint: str) -> UserError:
    """Why a source matches no file."""
    root = _root(source, base)
    if root.is_dir():
        narrowed = " that include and exclude leave" if source.include or source.exclude else ""
        return UserError(f"the folder {source.path!r} holds no file{narrowed}", where=name)
    if root.is_symlink() and not root.exists():
        return UserError(f"{source.path!r} is a link that leads nowhere", where=name)
    if root.exists():
        return UserError(f"{source.path!r} is a pipe or a device", where=name, hint="write it into a file first")
    folder = _fixed_folder(root)
    seen = "" if Path(source.path).is_absolute() else f" seen from {base}"
    missing = next((part for part in (*reversed(folder.parents), folder) if not part.exists()), None)
    reason = f"; there is no folder {missing}" if missing else ""
    return UserError(f"no file matches {source.path!r}{seen}{reason}", where=name, hint=hint)


def _refuse_unreadable_name(path: Path) -> None:
    """Names become ids, and stand in reports: both are UTF-8. The bytes that are none are shown as `\\xff`."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise UserError("the file's name is not UTF-8", where=shown, hint="rename it, or leave it out") from None


def _root(source: SourceSettings, base: Path) -> Path:
    """The file, folder or glob that the source names, seen from `base`."""
    return Path(base, os.path.expanduser(source.path.replace("{python}", sysconfig.get_path("stdlib"))))


def _once(file: InputFile) -> tuple[str, str]:
    """What makes two inputs the same: the file behind all links, read in the same way."""
    return os.path.realpath(file.path), file.format


def plan_units(files: Sequence[InputFile]) -> list[Unit]:
    """Group the files: every data file alone, neighbouring text files together up to 16 MiB or 512 files."""
    groups: list[list[InputFile]] = []
    room = 0
    for file in files:
        joins = groups and groups[-1][-1].source == file.source and file.format == groups[-1][-1].format in _SMALL
        if joins and file.size <= room and len(groups[-1]) < _GROUP_FILES:
            groups[-1].append(file)
            room -= file.size
        else:
            groups.append([file])
            room = _GROUP_BYTES - file.size
    return [Unit(index, tuple(group)) for index, group in enumerate(groups)]


def _matches(source: SourceSettings, index: int, base: Path) -> Iterator[InputFile]:
    root = _root(source, base)
    if root.is_dir():
        for relative in sorted(_walk(root, source.include, source.exclude)):
            path = root / relative
            yield _found(path, f"{root.name}/{relative}", index, source, named=False)
        return
    literal = os.path.isfile(root)  # a name may hold wildcards itself, and then stands for nothing else
    fixed = root.parent if literal else _fixed_folder(root)
    for match in [str(root)] if literal else sorted(glob.glob(str(root), recursive=True)):
        path = Path(match)
        if path.is_file():
            yield _found(path, path.relative_to(fixed).as_posix(), index, source, named=True)


def _found(path: Path, name: str, index: int, source: SourceSettings, *, named: bool) -> InputFile:
    """The file as it is before anything is read of it. A broken link is one of no bytes: reading it gives the reason"""
    size, modified = stamp(path)
    return InputFile(path, name, index, _format(path, source, named=named), size, modified)


def _fixed_folder(pattern: Path) -> Path:
    """The folder above the first wildcard: `data/*/x.jsonl` gives `data`."""
    parts = pattern.parts[:-1]
    wild = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:wild])


def _walk(root: Path, include: Sequence[str], exclude: Sequence[str]) -> Iterator[str]:
    """Relative paths below `root`. A folder that leads back into a folder above it (by a link) is not entered.

    A folder that cannot be listed is given as a file: reading it says why. Pipes and devices are no files: who opens
    a pipe waits for somebody to write to it.
    """
    stack: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(root),))]
    while stack:
        prefix, above = stack.pop()
        try:
            entries = list(os.scandir(root / prefix))
        except OSError:
            yield prefix.rstrip("/")
            continue
        for entry in entries:
            relative = f"{prefix}{entry.name}"
            if _left_out(relative, entry.name, include, exclude):
                continue
            if os.path.isdir(entry.path):  # unlike entry.is_dir, False for a link to itself
                real = os.path.realpath(entry.path)
                if real not in above:
                    stack.append((f"{relative}/", (*above, real)))
            elif (not include or _matched(relative, entry.name, include)) and not _device(entry):
                yield relative


def _device(entry: os.DirEntry[str]) -> bool:
    """Whether it is neither a file nor a link that leads nowhere."""
    regular = entry.is_file(follow_symlinks=False) or os.path.isfile(entry.path)  # the first asks nothing of the disk
    return not regular and os.path.exists(entry.path)


def _left_out(relative: str, name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a file or folder is passed over: excluded, or hidden and not included."""
    hidden = name.startswith(".") and not _matched(relative, name, include)
    return hidden or _matched(relative, name, exclude)


def _matched(relative: str, name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, p) or fnmatch.fnmatch(relative, p) for p in patterns)


def _format(path: Path, source: SourceSettings, *, named: bool) -> str:
    if source.format != "auto":
        return source.format
    suffixes = [s.lower() for s in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in PACKED
    if packed:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    if last in FOREIGN and named:
        raise UserError(f"{last} files are not read here", where=str(path), hint=FOREIGN[last])
    if last in FOREIGN and last not in (".html", ".htm"):
        return "foreign"
    if last in NAMED_FORMATS and not named and not packed:
        return NAMED_FORMATS[last] if _holds_records(path, NAMED_FORMATS[last], source) else "text"
    return (FORMATS | NAMED_FORMATS).get(last, "text")


def _holds_records(path: Path, kind: str, source: SourceSettings) -> bool:
    """Whether one of the first records of a file would become a document."""
    try:
        status = path.stat()
        known = status.st_size, status.st_mtime_ns
        return _first_records_are_texts(path, known, kind, source.fields.get("text"), source.largest_record)
    except OSError:
        return False


@functools.cache
def _first_records_are_texts(path: Path, known: tuple[int, int], kind: str, text: str | None, limit: int) -> bool:
    """A recipe's files are looked for many times in a run: each is opened once while it stays as it is `known`, by size
    and time of its last change.
    """
    mapper = Mapper(SourceSettings(path=str(path), fields={"text": text} if text else {}), path.name, (), set())
    read: Callable[[Path, Mapper, int], Iterator[Record]] = read_csv if kind == "csv" else read_jsonl
    return any(isinstance(one, Row) for one in islice(read(path, mapper, limit), _TRIED))
