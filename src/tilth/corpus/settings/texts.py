"""Steps that change single texts: repair, page furniture, cutting, markup, pictures, personal data, lists of words."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, field_validator, model_validator

from tilth.base.expression import Where
from tilth.base.settings import Count, Settings, named


class RepairSettings(Settings):
    """Unicode repair."""

    normalize: Literal["NFC", "none"] = "NFC"


def _check_pattern(value: str) -> str:
    if not value:
        raise ValueError("an empty pattern is found in every line; leave it out")
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {value!r} ({error})") from None
    return value


class LinesSettings(Settings):
    """Removal of boilerplate lines."""

    longest: int = Field(200, ge=1)
    """Characters; longer lines are prose and stay."""
    patterns: list[Annotated[str, AfterValidator(_check_pattern)]] = []
    """Regular expressions of your own: a line in which one is found is removed."""
    web: bool = False
    """Also remove what RefinedWeb removes from web pages: lines of one word, of capitals or figures alone, counters. It
    adds the column `signal.removed_words`, by which the rule set `refinedweb` rejects."""


class SplitSettings(Settings):
    """Cutting of very long documents."""

    longest: Count = Field(100_000, ge=100)
    """Characters; longer documents are cut at a paragraph's end."""


class SymbolsSettings(Settings):
    """Emoji and other pictures into words."""

    form: str = "[{name}]"
    """What is written; `{name}` is the Chinese name in Chinese documents, else the English one."""
    unnamed: Literal["keep", "remove"] = "keep"
    """What becomes of a picture that has no Chinese name here, in a Chinese document."""

    @field_validator("form")
    @classmethod
    def _names_it(cls, value: str) -> str:
        if "{name}" not in value or "{" in value.replace("{name}", ""):
            raise ValueError(f"{value!r} must hold {{name}} and no other bracket, for example '[{{name}}]'")
        return value


class MarkupSettings(Settings):
    """Markup out of running text."""

    kinds: list[Literal["html", "markdown", "bbcode"]] = Field(["html"], min_length=1)
    where: Where | None = None
    """Documents that it is for, for example `domain == 'web'`; default: all. Source code is better left as it is."""


MaskKind = Literal[
    "email",
    "ip",
    "phone",
    "resident_id",
    "hk_id",
    "tw_id",
    "bank_card",
    "iban",
    "ssn",
    "qq",
    "wechat",
    "address",
]

DEFAULT_KINDS: tuple[MaskKind, ...] = tuple(kind for kind in get_args(MaskKind) if kind != "address")


class MaskSettings(Settings):
    """Replacement of personal data by placeholders."""

    kinds: list[MaskKind] = Field(list(DEFAULT_KINDS), min_length=1)
    """All but `address`, which form cannot tell from the address of a museum."""
    private_ip: bool = False
    """Mask private and loopback addresses too (they identify nobody)."""


class WordList(Settings):
    """Words to look for, and what to do with documents that hold them."""

    name: Annotated[str, named(r"[a-z][a-z0-9_]{0,39}", "up to 40 lower-case letters, digits and _, a letter first")]
    """What rejections, edits and columns call it."""
    file: str = ""
    """A word or phrase a line, UTF-8, also packed (.gz, .zst), relative to the recipe; lines that start with `# ` are
    comments. `{spam}` is Tilth's own short list of spam phrases in Chinese and English."""
    words: list[Annotated[str, named(r"(?s).*\S.*", "a word or phrase")]] = []
    """Words given here, beside those of the file."""
    where: Where | None = None
    """Only documents for which this condition holds, for example `language == "zh"`."""
    policy: Literal["reject", "mask", "tag"] = "reject"
    """`reject` the document, `mask` the words, or `tag`: add columns: `signal.NAME_count`, `signal.NAME_share` (of the
    characters) and `signal.NAME_word`, the most frequent one."""
    min_count: int = Field(1, ge=1)
    """Rejected are documents with at least so many places ..."""
    min_share: float = Field(0.0, ge=0, le=1)
    """... which make up at least this share of their characters."""
    placeholder: str = ""
    """What `mask` writes in place of a word; empty: the list's name in capitals and brackets, `[TOXIC]`."""
    sha256: str = ""
    """Of the file; filled in where it is not given, refused where it is another."""

    @model_validator(mode="after")
    def _has_words(self) -> WordList:
        if not self.file and not self.words:
            raise ValueError("give a file or words")
        return self


class KeywordsSettings(Settings):
    """Lists of words: toxic ones, spam, names."""

    lists: list[WordList] = []

    @field_validator("lists")
    @classmethod
    def _told_apart(cls, value: list[WordList]) -> list[WordList]:
        names = [entry.name for entry in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two lists are called {name!r}")
        return value
