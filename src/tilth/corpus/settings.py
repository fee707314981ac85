"""The recipe's `corpus:` section: typed, strict, with defaults that suit a first run. Knows no pyarrow, no numba."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from tilth.base.expression import Where
from tilth.base.settings import Count, Settings
from tilth.corpus.document import SIGNATURE
from tilth.corpus.rules import RuleSet

StepName = Literal[
    "repair",
    "lines",
    "split",
    "measure",
    "exact",
    "rules",
    "holdout",
    "near",
    "passages",
    "substring",
    "mask",
    "decontaminate",
    "keywords",
    "symbols",
    "markup",
]

DEFAULT_STEPS: tuple[StepName, ...] = (
    "repair",
    "lines",
    "measure",
    "exact",
    "rules",
    "holdout",
    "near",
    "mask",
    "decontaminate",
)


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


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | dict) else value


class SourceSettings(Settings):
    """Where documents come from: a file, a glob or a folder, and how its records become documents."""

    path: str
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
    largest_record: Count = 16 * 2**20
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


class RepairSettings(Settings):
    """Unicode repair."""

    normalize: Literal["NFC", "none"] = "NFC"


class LinesSettings(Settings):
    """Removal of boilerplate lines."""

    longest: int = Field(200, ge=1)
    """Characters; longer lines are prose and stay."""
    patterns: list[str] = []
    """Regular expressions of your own: a line in which one is found is removed."""
    web: bool = False
    """Also remove what RefinedWeb removes from web pages: lines of one word, of capitals or figures alone, counters. It
    adds the column `signal.removed_words`, by which the rule set `refinedweb` rejects."""


class SplitSettings(Settings):
    """Cutting of very long documents."""

    longest: Count = Field(100_000, ge=100)
    """Characters; longer documents are cut at a paragraph's end."""


class MeasureSettings(Settings):
    """Which columns to measure."""

    language: Literal["missing", "always", "never"] = "missing"
    """Identify the language of documents whose source names none, of all, or of none."""


class NearSettings(Settings):
    """Removal of near-duplicates: MinHash LSH (Broder, 1997; bands as in Lee et al., arXiv 2107.06499)."""

    threshold: float = Field(0.75, gt=0, le=1)
    """Estimated Jaccard similarity of the documents' 5-grams from which the later document is removed. The estimate has
    a standard error of 0.04: 0.75 finds what is 0.8 alike and more, 97 % of it."""
    bands: int = Field(22, ge=1)
    rows: int = Field(5, ge=1)
    """Signature values a band: two documents are compared when one band agrees in all of them."""

    @model_validator(mode="after")
    def _fits_the_signature(self) -> NearSettings:
        if self.bands * self.rows > SIGNATURE:
            raise ValueError(f"bands x rows is {self.bands * self.rows}, but a signature has {SIGNATURE} values")
        meets = 1 - (1 - self.threshold**self.rows) ** self.bands
        if meets < 0.1:
            raise ValueError(
                f"at a similarity of {self.threshold} {self.bands} bands of {self.rows} rows compare only {meets:.1%} "
                "of the pairs: the threshold would promise what is not looked at; give fewer `rows` and more `bands`, "
                "or a higher `threshold`"
            )
        return self


_Memory = Annotated[Count, Field(ge=2**16)]


class SurvivorSettings(Settings):
    """Which of several duplicates stays (steps `exact` and `near`). Among equals: the first in the sources' order."""

    highest: str = ""
    """A column, for example `signal.votes`, or `date` for the newest: who has most of it stays ..."""
    lowest: str = ""
    """... or least. A document without a number comes last either way."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return (
            {"first": {}, "longest": {"highest": "signal.characters"}}.get(value, value)
            if isinstance(value, str)
            else value
        )

    @model_validator(mode="after")
    def _one_of_them(self) -> SurvivorSettings:
        if self.highest and self.lowest:
            raise ValueError("give highest or lowest, not both")
        return self

    @property
    def column(self) -> str:
        """What is compared; empty: nothing but the order of the sources."""
        return self.highest or self.lowest


class PassagesSettings(Settings):
    """Removal of lines, paragraphs or sentences that stand in the corpus several times."""

    unit: Literal["line", "paragraph", "sentence"] = "line"
    shortest: Count = Field(60, ge=1)
    """Length from which a passage counts: in characters, of which a Chinese one (from U+2E80 on) counts two."""
    keep: Count = Field(1, ge=1)
    """The first so many places of a passage stay: the hold-out's first, then in the order of the sources."""
    memory: _Memory = 2**30
    """Bytes that a worker may hold while passages are compared; the result does not depend on it."""


class SubstringSettings(Settings):
    """Removal of stretches of text that stand elsewhere in the corpus too (Lee et al., arXiv 2107.06499)."""

    length: Count = Field(100, ge=8, le=2**20)
    """Length from which a stretch counts: in characters, of which a Chinese one (from U+2E80 on) counts two."""
    memory: _Memory = 2**30
    """Bytes that a worker may hold while stretches are compared; the result does not depend on it."""


class HoldoutSettings(Settings):
    """Documents kept aside for evaluation, chosen by a keyed hash of their text.

    New data moves nobody across the border; with `minimum` or `maximum` it may move documents at the margin.
    """

    fraction: float = Field(0.01, ge=0, lt=1)
    """Share of each domain's documents."""
    minimum: Count = Field(0, ge=0)
    """At least so many documents a domain (but never more than half of it)."""
    maximum: Count | None = None
    """At most so many documents a domain."""
    domains: Annotated[list[str], BeforeValidator(_as_list)] = []
    """Only these domains; empty: all."""
    where: Where | None = None
    """A condition, for example `source == 'exam'`: whatever it holds for is kept aside too, all of it. So another data
    set, listed as the first source, keeps its copies and near-copies out of the corpus."""
    key: str = "holdout"
    """Another key chooses other documents."""


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

DEFAULT_KINDS: tuple[MaskKind, ...] = (
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
)


class MaskSettings(Settings):
    """Replacement of personal data by placeholders."""

    kinds: list[MaskKind] = list(DEFAULT_KINDS)
    """All but `address`, which form cannot tell from the address of a museum."""
    private_ip: bool = False
    """Mask private and loopback addresses too (they identify nobody)."""


class DecontaminateSettings(Settings):
    """Removal of benchmark items, or of the documents that hold them."""

    against: Annotated[list[str], BeforeValidator(_as_list)] = []
    """Benchmark files: JSON Lines (also .gz, .zst), globs allowed, relative to the recipe."""
    fields: list[str] = []
    """Fields of an item that count; empty: every text in it."""
    words: int = Field(8, ge=2)
    """Length of an n-gram in words (English) ..."""
    characters: int = Field(12, ge=4)
    """... and in characters (Chinese)."""
    coverage: float = Field(0.7, gt=0, le=1)
    """Share of a benchmark text found in one document from which the item counts as leaked."""
    action: Literal["remove", "cut"] = "remove"
    """Remove the document, or cut the spans out of it and keep the rest."""


class WordList(Settings):
    """Words to look for, and what to do with documents that hold them."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    """What rejections, edits and columns call it."""
    file: str = ""
    """A word or phrase a line, UTF-8, also packed (.gz, .zst), relative to the recipe; lines that start with `# ` are
    comments. `{spam}` is Tilth's own short list of spam phrases in Chinese and English."""
    words: list[str] = []
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


class RepeatSettings(Settings):
    """How often documents are seen in an epoch."""

    where: Where
    """A condition over document columns and signals, for example `domain == "wikipedia"`."""
    times: float = Field(ge=0)
    """0 removes; 2 repeats; 0.3 keeps 30 % of the documents, 1.5 repeats half of them (chosen by a keyed hash)."""


class CanarySettings(Settings):
    """Invented secrets planted in the training documents, to measure later how much of them a model gives away."""

    count: Count = Field(0, ge=0, le=1000)
    repeat: list[Annotated[int, Field(ge=1)]] = Field([1, 4, 16], min_length=1)
    """How often an epoch shows a canary: these in turn."""
    kinds: list[Literal["digits", "letters", "email"]] = Field(["digits", "letters", "email"], min_length=1)
    languages: list[Literal["en", "zh"]] = Field(["en", "zh"], min_length=1)
    domain: str = ""
    """The domain that they join; empty: the one with the most text."""
    key: str = "canaries"
    """Another key draws other secrets."""


class CorpusSettings(Settings):
    """Sources and the chain of steps that turns them into a corpus."""

    sources: Annotated[list[SourceSettings], BeforeValidator(_as_list)] = []
    steps: list[StepName] = list(DEFAULT_STEPS)
    """The order of the chain; a step that is not named is not run, `measure` may be named again after an edit."""
    repair: RepairSettings = RepairSettings()
    lines: LinesSettings = LinesSettings()
    split: SplitSettings = SplitSettings()
    measure: MeasureSettings = MeasureSettings()
    rules: list[RuleSet] = []
    survivor: SurvivorSettings = SurvivorSettings()
    """`first`, `longest`, `{highest: COLUMN}` or `{lowest: COLUMN}`; the hold-out's stays whatever this says."""
    holdout: HoldoutSettings = HoldoutSettings()
    near: NearSettings = NearSettings()
    passages: PassagesSettings = PassagesSettings()
    substring: SubstringSettings = SubstringSettings()
    mask: MaskSettings = MaskSettings()
    decontaminate: DecontaminateSettings = DecontaminateSettings()
    keywords: KeywordsSettings = KeywordsSettings()
    symbols: SymbolsSettings = SymbolsSettings()
    markup: MarkupSettings = MarkupSettings()
    repeat: list[RepeatSettings] = []
    """The first entry whose condition holds counts; documents that none names are seen once."""
    canaries: CanarySettings = CanarySettings()

    @field_validator(
        "repair", "lines", "split", "measure", "rules", "near", "passages", "substring", "mask", "decontaminate",
        "keywords", "symbols", "markup",
    )  # fmt: skip
    @classmethod
    def _has_its_step(cls, value: object, info: ValidationInfo) -> object:
        name = str(info.field_name)
        if name not in info.data.get("steps", [name]) and value != cls.model_fields[name].default:
            raise ValueError(f"the chain has no step {name!r}; add it to `steps`, or leave this out")
        return value
