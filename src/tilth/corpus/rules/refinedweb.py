"""The line rule of RefinedWeb (Penedo et al., 2023, arXiv:2306.01116, appendix G.2), as a rule over documents."""

from __future__ import annotations

from typing import Literal

from tilth.corpus.rules.base import PublishedRules, Rule


class RefinedWeb(PublishedRules):
    """Reject a page of which `lines: {web: true}` took more than a twentieth of the words: the rest is no better."""

    set: Literal["refinedweb"] = "refinedweb"
    max_removed_words: float | None = 0.05

    def every_rule(self) -> list[Rule]:
        return [Rule("refinedweb_removed_words", "removed_words", maximum=self.max_removed_words)]
