"""Files of conversations to a token store with a loss mask, file by file.

records read = examples + unreadable + too long, for every file: what cannot be read or does not fit is counted and
named in the report, the good records go on. A role that no format knows is an error, since it means that the file is
not what it was taken for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.base.files import atomic_file, read_json, write_json, write_text
from tilth.base.pool import Workers, map_units
from tilth.base.progress import Progress
from tilth.corpus.sources import InputFile, Unreadable, Unusable, read_jsonl, read_parquet
from tilth.tokens.chat import Chat, Rendered, render_source_target
from tilth.tokens.conversation import (
    ANSWERS,
    Conversation,
    Example,
    Preference,
    SourceTarget,
    UnknownRole,
    read_example,
)
from tilth.tokens.encode import join_parts
from tilth.tokens.megatron import token_type
from tilth.tokens.store import MASK
from tilth.tokens.templates import chat_template
from tilth.tokens.tokenizer import Tokenizer

LARGEST_RECORD = 64 * 2**20
FAULTS = "unreadable.jsonl"
"""Every record that is not trained on: kind, file, line, reason."""
_EXAMPLES = 20
"""Of them in the report."""


@dataclass(frozen=True)
class Rendering:
    """How records become tokens."""

    tokenizer: Path
    template: str
    length: int
    """Positions of a training sequence: a conversation has at most one token more."""
    pairs: bool
    """Preferences are asked for: documents 2i and 2i + 1 are the chosen and the rejected one of pair i."""


def render_files(
    files: Sequence[InputFile],
    rendering: Rendering,
    out: Path,
    work: Path,
    *,
    workers: Workers | int = 1,
    label: str = "render",
) -> dict[str, Any]:
    """Render `files` into the token store `out`; returns the report.

    Finished parts stay in `work`, which the caller removes, so that a killed run goes on. The store is the same for any
    number of workers.
    UserError where nothing is left, or where no token or every token would have a loss.
    """
    work.mkdir(parents=True, exist_ok=True)
    parts = [(file, work / f"part-{i:05d}") for i, file in enumerate(files)]
    with Progress(label, total=len(parts), unit="files") as bar:
        for _ in map_units(partial(_render_part, rendering=rendering), parts, workers):
            bar.add()
    reports = [read_json(part.with_suffix(".json")) for _, part in parts]
    report = _sum(reports)
    _check(report, [file.name for file in files])
    out.mkdir(parents=True, exist_ok=True)
    join_parts([part for _, part in parts], out, token_type(Tokenizer.load(rendering.tokenizer).vocabulary_size))
    write_text(out / FAULTS, "".join(json.dumps(fault, ensure_ascii=False) + "\n" for fault in report["faults"]))
    report["faults"] = report["faults"][:_EXAMPLES]
    write_json(out / "report.json", report)
    return report


def _render_part(unit: tuple[InputFile, Path], rendering: Rendering) -> None:
    """One file to `PART.bin`, `PART.parquet` and, last, `PART.json` (the file's report)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, part = unit
    if part.with_suffix(".json").exists():
        return
    renderer = Renderer(file, rendering)
    dtype = token_type(renderer.tokenizer.vocabulary_size)
    rows: list[dict[str, Any]] = []
    with atomic_file(part.with_suffix(".bin")) as aside, aside.open("wb") as out:
        for row, rendered in renderer:
            out.write(rendered.ids.astype(dtype).tobytes())
            rows.append({**row, "tokens": len(rendered.ids), MASK: without_loss(rendered.trained).ravel()})
    with atomic_file(part.with_suffix(".parquet")) as aside:
        pq.write_table(pa.Table.from_pylist(rows, _schema()), aside, compression="zstd")
    write_json(part.with_suffix(".json"), renderer.report)


def _schema() -> Any:
    import pyarrow as pa

    strings = [(name, pa.string()) for name in ("id", "domain", "source")]
    return pa.schema([*strings, ("bytes", pa.int64()), ("tokens", pa.int64()), (MASK, pa.list_(pa.int32()))])


def without_loss(trained: np.ndarray) -> np.ndarray:
    """int32 [k, 2]: the spans of False in a mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[1], trained.astype(np.int8), [1]])))
    return edges.astype(np.int32).reshape(-1, 2)


class Renderer:
    """The documents of one file with what the table says of them; fills `report` on the way."""

    def __init__(self, file: InputFile, rendering: Rendering) -> None:
        self.file, self.rendering = file, rendering
        self.tokenizer = Tokenizer.load(rendering.tokenizer)
        self.chat = Chat(chat_template(rendering.template), self.tokenizer)
        self.report: dict[str, Any] = {
            **dict.fromkeys(("records_read", "examples", "unreadable", "too_long", "cut"), 0),
            **dict.fromkeys(("tokens", "trained_tokens"), 0),
            "faults": [],
        }

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Rendered]]:
        for record in read_records(self.file):
            self.report["records_read"] += 1
            if isinstance(record, Unreadable):
                self._fault("unreadable", record.line, record.reason)
                continue
            try:
                documents = list(self._documents(record.example, record.number))
            except UserError as error:  # a role that the template does not have
                where = error.where or f"{self.file.path}:{record.number}"
                raise error.at(where) from None
            if not documents:
                self._fault("too_long", record.number, f"over {self.rendering.length + 1} tokens")
                continue
            self.report["examples"] += 1
            for rendered in documents:
                self.report["tokens"] += len(rendered.ids)
                self.report["trained_tokens"] += int(rendered.trained.sum())
                yield self._row(record), rendered

    def _documents(self, example: Example, number: int) -> Iterator[Rendered]:
        """What becomes of one example: nothing if it does not fit, two documents for a preference."""
        room = self.rendering.length + 1
        if isinstance(example, Preference) and self.rendering.pairs:
            both = [self.chat.render(side.turns, first=len(example.turns)) for side in example.both]
            if sum(len(side.ids) - 1 for side in both) <= self.rendering.length:
                yield from both
            return
        if self.rendering.pairs:
            raise no_preference(self.file, number)
        if isinstance(example, SourceTarget):
            rendered = render_source_target(self.tokenizer, example)
            if len(rendered.ids) <= room:
                yield rendered
            return
        turns = (example.both[0] if isinstance(example, Preference) else example).turns
        fitting = self.chat.fitting(turns, room)
        if fitting is not None:
            self.report["cut"] += len(fitting.ids) < len(self.chat.render(turns).ids)
            yield fitting

    def _row(self, record: Record) -> dict[str, Any]:
        example = record.example
        domain = example.domain or self.file.path.name.split(".")[0]
        return {"id": example.id, "domain": domain, "source": self.file.name, "bytes": record.bytes}

    def _fault(self, kind: str, line: int, reason: str) -> None:
        self.report[kind] += 1
        self.report["faults"].append({"kind": kind, "file": self.file.name, "line": line, "reason": reason})


@dataclass(slots=True)
class Record:
    """An example, and where it stands in its file."""

    example: Example
    number: int
    bytes: int
    """UTF-8 bytes of what is trained."""


class _Mapper:
    """Records to examples, for the readers of the corpus."""

    def __init__(self, file: InputFile) -> None:
        self.file, self.path = file.name, file.path

    def row(self, record: Any, number: int) -> Record:
        try:
            example = read_example(record, f"{self.path}:{number}", f"{self.file}#{number}")
        except UnknownRole:
            raise
        except UserError as error:
            raise Unusable(error.message) from None
        said = [example.target] if isinstance(example, SourceTarget) else _spoken(example)
        if not said:
            fields = ", ".join(map(repr, record))
            raise Unusable(f"there is no answer in {', '.join(ANSWERS)} or in messages; the fields are {fields}")
        if not any(text.strip() for text in said):
            raise Unusable("the assistant says nothing")
        if isinstance(example, Preference):
            _check_preference(example)
        return Record(example, number, sum(len(text.encode()) for text in said))


def no_preference(file: InputFile, number: int) -> UserError:
    """Of a record that has no two answers, where they are asked."""
    return UserError("a preference has chosen and rejected, this record does not", where=f"{file.path}:{number}")


def _check_preference(example: Preference) -> None:
    """What teaches nothing, or to be silent, is no preference."""
    if example.chosen == example.rejected:
        raise Unusable("chosen and rejected are the same")
    if not any(turn.content.strip() for turn in example.chosen if turn.role == "assistant"):
        raise Unusable("the chosen answer is empty")


def _spoken(example: Conversation | Preference) -> list[str]:
    turns = example.turns if isinstance(example, Conversation) else (*example.chosen, *example.rejected)
    return [turn.content for turn in turns if turn.role == "assistant"]


_READERS = {"jsonl": read_jsonl, "parquet": read_parquet}


def check_format(file: InputFile) -> None:
    """Raise UserError for a file of a format that conversations are not read from."""
    if file.format not in _READERS:
        raise UserError("conversations are read from JSON Lines (also .zst and .gz) and Parquet", where=str(file.path))


def read_records(file: InputFile) -> Iterator[Record | Unreadable]:
    """The examples of a file, and what cannot be one. UserError for a role that no format knows."""
    check_format(file)
    try:
        yield from _READERS[file.format](file.path, _Mapper(file), LARGEST_RECORD)
    except OSError as error:
        yield Unreadable(file.name, 0, f"cannot be read: {error.strerror or error}", file.size)


def _sum(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {name: sum(r[name] for r in reports) for name in reports[0] if name != "faults"}
    return total | {"faults": [fault for report in reports for fault in report["faults"]]}


def _check(report: dict[str, Any], names: Sequence[str]) -> None:
    """Refuse what cannot be meant: nothing to train on, or a mask that masks nothing or everything."""
    where = ", ".join(names[:3])
    if not report["examples"]:
        first = report["faults"][0] if report["faults"] else {"file": where, "line": 0, "reason": "there is no record"}
        raise UserError(
            f"none of {report['records_read']:,} records can be trained on; the first: {first['reason']}",
            where=f"{first['file']}:{first['line']}",
        )
    if not report["trained_tokens"]:
        raise UserError("no token has a loss", where=where, hint="the assistant's contents are all empty")
    if report["trained_tokens"] == report["tokens"]:
        raise UserError(
            "every token has a loss: there is no question to answer",
            where=where,
            hint="text without sources belongs into corpus and pretrain",
        )
