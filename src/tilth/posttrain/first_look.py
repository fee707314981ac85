"""A first look at the files of a step: what is wrong with all of their records is told by the first ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from tilth.base.errors import UserError
from tilth.corpus.sources import InputFile, Unreadable
from tilth.posttrain.data import Record, check_format, no_preference, read_records
from tilth.tokens.conversation import Conversation, Preference, SourceTarget
from tilth.tokens.templates import ChatTemplate, unknown_role

_RECORDS, _FILES = 32, 64
"""Records of a file, and files, that are looked at."""


def check_data(files: Sequence[InputFile], template: ChatTemplate | None, *, pairs: bool) -> None:
    """Whether a step can be trained on `files`, as far as that is known before there is a tokenizer.

    UserError for a file that cannot be opened or is of another format; for a first record that would stop the
    rendering, by a role that nobody (or not the `template`) knows, or where `pairs` are asked because it is none; and
    where of no file one of the first records can be trained on.
    """
    for file in files:
        check_format(file)
        if not file.readable:
            raise UserError("the file cannot be opened", where=str(file.path), hint="check its permissions")
    faults: list[Unreadable] = []
    for file in files[:_FILES]:
        for record in islice(read_records(file), _RECORDS):
            if not isinstance(record, Unreadable):
                _check_example(record, file, template, pairs)
                return
            faults.append(replace(record, file=str(file.path)))
    if len(files) <= _FILES:
        first = faults[0] if faults else Unreadable(str(files[0].path), 0, "there is no record", 0)
        where = f"{first.file}:{first.line}" if first.line else first.file
        raise UserError(f"none of the first records can be trained on; {first.reason}", where=where)


def _check_example(record: Record, file: InputFile, template: ChatTemplate | None, pairs: bool) -> None:
    """What the rendering would refuse of it for its form."""
    example = record.example
    if pairs and not isinstance(example, Preference):
        raise no_preference(file, record.number)
    if template is None or isinstance(example, SourceTarget):
        return
    turns = example.turns if isinstance(example, Conversation) else example.both[0].turns
    for turn in turns:
        if turn.role not in template.before:
            raise unknown_role(template, turn.role, where=f"{file.path}:{record.number}")
