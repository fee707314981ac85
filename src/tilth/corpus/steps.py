"""What a step of the chain is. Three kinds, told apart by what they may do:

Measure   adds columns, a pure function of each document
Edit      changes texts and logs every place; names the columns that it makes untrue
Decide    rejects documents (or labels them), each with its rule, value, threshold and partner

There are three of the last. DecideColumns and Label need nothing but columns and look at the whole corpus at once;
DecideTexts looks at a batch of texts at a time, and so depends on nothing but the document. And there are two kinds of
edit: a plain one depends on nothing but the document, a CorpusEdit first looks at the texts of the whole corpus.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


class Step(ABC):
    """A step of the chain. `name` is what rejections and edits carry; a repeated step is `measure.2`."""

    kind: ClassVar[str]
    VERSION: ClassVar[int] = 1
    """Raised when the step's output changes for the same settings and input."""

    def __init__(self, name: str) -> None:
        self.name = name

    def needs(self) -> Sequence[str]:
        """Columns that the step reads."""
        return ()


class Measure(Step):
    """Adds columns."""

    kind = "measure"

    @abstractmethod
    def adds(self) -> Mapping[str, str | float | bytes]:
        """Names of the columns that the step writes, each with some value of its kind."""

    @abstractmethod
    def measure(self, table: pa.Table) -> pa.Table:
        """The same rows, with the step's columns new or replaced."""


@dataclass
class EditLog:
    """Places that an edit changed: row of the batch, kind, and [start, end) in characters of the text before."""

    rows: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    """What else was found (plain values for a report of the step's own)."""

    def add(self, row: int, kind: str, start: int, end: int) -> None:
        """Log one place."""
        self.rows.append(row)
        self.kinds.append(kind)
        self.starts.append(start)
        self.ends.append(end)

    def __len__(self) -> int:
        return len(self.rows)


class Edit(Step):
    """Changes texts, of which nothing that was measured is true then."""

    kind = "edit"
    blurs: ClassVar[bool] = False
    """Measured statistics stay with the documents, as they move by next to nothing; but no step decides by them."""
    alone: ClassVar[bool] = True
    """Needs the document and the settings and nothing else, so that it may stand in front of the first decision."""

    def adds(self) -> Mapping[str, str | float | bytes]:
        """Columns that say what the edit did, each with some value of its kind; they hold until another edit."""
        return {}

    @abstractmethod
    def edit(self, table: pa.Table) -> tuple[pa.Table, EditLog]:
        """The table with changed texts, and where they changed. Only `split` gives more rows than it got."""


@dataclass(frozen=True)
class Round:
    """One look of a CorpusEdit at the whole corpus: which of the places noted under one key are chosen.

    Places are looked at in priority order. The first `keep` of a key are not chosen, nor those in the document of the
    first that are less than `apart` behind it. With `every`, all places are chosen of a key that has several.
    """

    keep: int = 1
    apart: int = 0
    every: bool = False


class CorpusEdit(Step):
    """Changes texts by what stands elsewhere in the corpus.

    In each round it notes keys at places of every document; the places that the round chooses, the *marks*, are given
    to the next round, and those of the last round are what it changes. A place is `row << 32 | offset` (int64): a
    number of the document, rising through the corpus, and a place in its text of the step's own reckoning.
    """

    kind = "edit"
    memory: int
    """Bytes that a worker may hold while what was noted is brought together. The result does not depend on it."""

    @abstractmethod
    def rounds(self) -> Sequence[Round]:
        """The rounds, in order; at least one."""

    @abstractmethod
    def most(self, number: int, size: int, marks: int) -> int:
        """About how many records round `number` notes at most in `size` bytes of text: what `memory` is shared among.

        `marks`: how many the round before has left.
        """

    @abstractmethod
    def note(
        self, number: int, texts: pa.LargeStringArray, rows: np.ndarray, marks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keys uint64 [K, 2] and places int64 [K] of these texts in round `number`, from 0.

        `rows` int64 [N], rising, number the texts; `marks` int64, rising, are those of the round before in them.
        """

    @abstractmethod
    def at(self, rows: np.ndarray, marks: np.ndarray) -> Edit:
        """The edit of one table whose documents have these numbers, with the marks of the last round in it."""


Place = tuple[str, int, int]
"""Kind, start and end of one change, in characters of the text before."""


def edit_rows(
    table: pa.Table, rows: np.ndarray, change: Callable[[str], tuple[str, list[Place]]]
) -> tuple[pa.Table, EditLog]:
    """Apply `change` to the texts of `rows` (in rising order); texts that come back without a place stay untouched."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from tilth.corpus.document import texts_of

    texts, log = texts_of(table), EditLog()
    changed: list[str] = []
    mask = np.zeros(len(table), bool)
    for row in rows.tolist():
        text, places = change(texts[row].as_py())
        if places:
            mask[row] = True
            changed.append(text)
            for kind, start, end in places:
                log.add(row, kind, start, end)
    if changed:
        texts = pc.replace_with_mask(texts, pa.array(mask), pa.array(changed, pa.large_string()))
        table = table.set_column(table.schema.get_field_index("text"), "text", texts)
    return table, log


@dataclass
class Rejections:
    """Rows that a Decide rejects; arrays of one length. `partner` is an id, or empty."""

    rows: np.ndarray
    """int64, rising."""
    rules: np.ndarray
    """object array of str"""
    values: np.ndarray
    """float64, what was measured"""
    thresholds: np.ndarray
    """float64, what it was compared with"""
    partners: np.ndarray
    """object array of str"""

    @classmethod
    def none(cls) -> Rejections:
        """Nothing is rejected."""
        empty = np.empty(0, object)
        return cls(np.empty(0, np.int64), empty, np.empty(0), np.empty(0), empty)

    @classmethod
    def of(
        cls,
        rows: np.ndarray,
        rule: str | np.ndarray,
        values: float | np.ndarray,
        thresholds: float | np.ndarray,
        partners: np.ndarray | None = None,
    ) -> Rejections:
        """Spread single values over all rows."""
        count = len(rows)
        return cls(
            np.asarray(rows, np.int64),
            np.full(count, rule, object) if isinstance(rule, str) else rule,
            np.broadcast_to(np.asarray(values, np.float64), (count,)),
            np.broadcast_to(np.asarray(thresholds, np.float64), (count,)),
            np.full(count, "", object) if partners is None else partners,
        )

    @classmethod
    def join(cls, parts: Sequence[Rejections]) -> Rejections:
        """One after another."""
        if not parts:
            return cls.none()
        names = ("rows", "rules", "values", "thresholds", "partners")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def take(self, order: np.ndarray) -> Rejections:
        """These of them, in this order."""
        names = ("rows", "rules", "values", "thresholds", "partners")
        return Rejections(*(getattr(self, name)[order] for name in names))

    def __len__(self) -> int:
        return len(self.rows)


class View(Protocol):
    """Columns of the documents that are still in the corpus, in the corpus's order."""

    def __len__(self) -> int: ...

    @property
    def holdout(self) -> np.ndarray:
        """bool [N]: the document belongs to the hold-out."""

    def column(self, name: str) -> np.ndarray:
        """A whole column: numbers as they are, strings as objects, fixed-size binary as uint8 [N, bytes]."""

    def codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """A string column as int32 codes and the values that they stand for, in the order of their appearance."""

    def ids(self, rows: np.ndarray) -> np.ndarray:
        """The ids of these rows, as objects."""

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """The same by parts of bounded size, with the row at which each part starts."""


class Decide(Step):
    """Rejects documents, or labels them."""

    kind = "decide"


class DecideColumns(Decide):
    """Rejects documents by their columns."""

    @abstractmethod
    def decide(self, view: View, work: WorkFolder) -> Rejections:
        """Rows of the view to reject."""


class DecideTexts(Decide):
    """Rejects documents by their texts."""

    @abstractmethod
    def decide_texts(self, table: pa.Table) -> tuple[Rejections, list[dict[str, Any]]]:
        """Rows of the batch to reject, and what else was found (plain values for a report of the step's own)."""


class Label(Decide):
    """Rejects nothing but moves documents into the hold-out, by their columns."""

    @abstractmethod
    def label(self, view: View) -> np.ndarray:
        """bool [N]: the document goes to the hold-out."""


ColumnDecision = DecideColumns | Label
"""Looks at columns of the whole corpus at once."""


class WorkFolder(Protocol):
    """Where a step may keep large arrays on disk while it runs."""

    def path(self, name: str) -> Path:
        """A file of that name."""

    def array(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """A new memory-mapped array."""
