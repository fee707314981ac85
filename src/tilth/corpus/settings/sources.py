"""Where documents come from, and the templates of their labels."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from tilth.base.settings import Count, PathText, Settings

_FIELD = re.compile(r"\{field:([^{}]+)\}")


def template_field(value: str) -> str:
    """The NAME of a `{field:NAME}`; empty for any other value."""
    match = _FIELD.fullmatch(value)
    return match.group(1) if match else ""


def check_template(value: str) -> str:
    """The value, if it is plain text, `{stem}` (in it, too), or `{field:NAME}` and nothing else; else `ValueError`."""
    rest = value.replace("{stem}", "")
    if not template_field(value) and ("{" in rest or "}" in rest):
        alone = "{field:NAME} stands alone; " if _FIELD.search(rest) else ""
        raise ValueError(f"{value!r} is no template; {alone}known are plain text, {{stem}} and {{field:NAME}}")
    return value


Template = Annotated[str, AfterValidator(check_template)]
"""A label: plain text, `{stem}` for the file's name without extensions, or `{field:NAME}` for the record's own."""


def as_list(value: object) -> object:
    """One path is a list of one."""
    return [value] if isinstance(value, str | dict) else value


class SourceSettings(Settings):
    """Where documents come from: a file, a glob or a folder, and how its records become documents."""

    path: PathText
    """A file, a glob (`data/*.jsonl.zst`) or a folder, relative to the recipe; `{python}` is the folder of the running
    Python's library."""
    format: Literal["auto", "jsonl", "parquet", "csv", "text", "docstrings"] = "auto"
    """`auto` goes by the extension; an unknown extension is one text document a file. `docstrings`: the documentation
    inside Python files."""
    include: list[str] = []
    """In a folder: only files whose name or relative path matches one of these globs."""
    exclude: list[str] = []
    """In a folder: no files or folders that match one of these globs. Hidden ones are left out unless included."""
    fields: dict[str, str] = {}
    """Document column: field of the record (dotted for nested ones), for example `text: content`."""
    domain: Template = ""
    """A fixed name, `{stem}` (the file's name without extensions) or `{field:NAME}`, in place of the record's own;
    empty: the record's own."""
    default_domain: Template = ""
    """The same for records that name no domain (or lack the field of `domain`); the others keep theirs."""
    language: Template = ""
    """As `domain`, for the language."""
    source: Template = ""
    """As `domain`, for the source."""
    license: Template = ""
    """As `domain`, for the licence."""
    signals: dict[str, str] = {}
    """Numbers of the record to keep as columns (`votes: score.up` becomes `signal.votes`; NaN where absent)."""
    largest_record: Count = Field(16 * 2**20, ge=1)
    """Bytes; a longer record (or text file) is unreadable instead of filling the memory, of which measuring takes some
    24 bytes for each byte of the longest text."""

    @model_validator(mode="before")
    @classmethod
    def _a_path_alone(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("fields")
    @classmethod
    def _known_columns(cls, value: dict[str, str]) -> dict[str, str]:
        from tilth.base.errors import nearest
        from tilth.corpus.document import COLUMNS

        allowed = [name for name in COLUMNS if name not in ("meta", "parent")]
        for name in value:
            if name not in allowed:
                raise ValueError(f"{name!r} is no document column ({nearest(name, allowed)})")
        return value
