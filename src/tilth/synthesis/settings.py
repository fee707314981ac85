"""The recipe's `synthesize:` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tilth.base.settings import Count, Settings


class GrammarSettings(Settings):
    """Documents from one of the built-in grammars; the kind is also their domain."""

    kind: Literal["stories", "arithmetic", "people", "questions"]
    documents: Count = Field(ge=1, description="documents to write, the languages in turn")
    languages: tuple[Literal["en", "zh"], ...] = Field(default=("en", "zh"), min_length=1)
