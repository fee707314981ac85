"""Steps that look for what stands in the corpus several times."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tilth.base.settings import Count, Settings
from tilth.corpus.document import SIGNATURE


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
        if not isinstance(value, str):
            return value
        named: dict[str, dict[str, str]] = {"first": {}, "longest": {"highest": "signal.characters"}}
        if value not in named:
            raise ValueError(
                f"{value!r} is not known; expected first, longest, {{highest: COLUMN}} or {{lowest: COLUMN}}"
            )
        return named[value]

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
