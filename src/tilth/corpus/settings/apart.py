"""What a corpus owes to the evaluation of its models: a hold-out, no benchmark items in it, planted secrets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from tilth.base.expression import Where
from tilth.base.settings import Count, PathText, Settings
from tilth.corpus.settings.sources import as_list


class HoldoutSettings(Settings):
    """Documents kept aside for evaluation, chosen by a keyed hash of their text.

    New data moves nobody across the border; with `minimum` or `maximum` it may move documents at the margin.
    """

    fraction: float = Field(0.01, ge=0, lt=1)
    """Share of each domain's documents."""
    minimum: Count = Field(0, ge=0)
    """At least so many documents a domain (but never more than half of it)."""
    maximum: Count | None = Field(None, ge=0)
    """At most so many documents a domain."""
    domains: Annotated[list[str], BeforeValidator(as_list)] = []
    """Only these domains; empty: all."""
    where: Where | None = None
    """A condition, for example `source == 'exam'`: whatever it holds for is kept aside too, all of it. So another data
    set, listed as the first source, keeps its copies and near-copies out of the corpus."""
    key: str = "holdout"
    """Another key chooses other documents."""

    @property
    def off(self) -> bool:
        """Whether nothing is kept aside."""
        return not (self.fraction or self.minimum or self.where)

    @model_validator(mode="after")
    def _in_order(self) -> HoldoutSettings:
        idle = [name for name in ("maximum", "domains") if getattr(self, name)]
        if idle and not (self.fraction or self.minimum):
            raise ValueError(f"{' and '.join(idle)} would do nothing without a fraction and a minimum; remove it")
        if self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(
                f"the minimum is {self.minimum:,}, but the maximum {self.maximum:,}: raise it, or lower it"
            )
        return self


class DecontaminateSettings(Settings):
    """Removal of benchmark items, or of the documents that hold them."""

    against: Annotated[list[PathText], BeforeValidator(as_list)] = []
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
