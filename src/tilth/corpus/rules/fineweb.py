"""The rules that FineWeb adds (Penedo et al., 2024, arXiv:2406.17557, section 3.6), found by comparing histograms."""

from __future__ import annotations

from typing import Literal

from tilth.base.expression import Where
from tilth.corpus.rules.base import PublishedRules, Rule


class FineWeb(PublishedRules):
    """Lines that end without punctuation, short lines, characters in repeated lines, lists."""

    set: Literal["fineweb"] = "fineweb"
    where: Where | None = 'language == "en"'
    min_lines: int | None = 1
    """Lines with anything on them: an empty document is rejected."""
    min_terminal_lines: float | None = 0.12
    """Share of lines that end with a full stop, question mark and the like, in any script."""
    max_short_lines: float | None = 0.67
    """Share of lines of at most 30 characters."""
    max_repeated_line_characters: float | None = 0.01
    max_newline_ratio: float | None = 0.3
    """Line breaks for each word."""

    def every_rule(self) -> list[Rule]:
        return [
            Rule("fineweb_lines", "lines", minimum=self.min_lines),
            Rule("fineweb_terminal_lines", "terminal_lines", minimum=self.min_terminal_lines),
            Rule("fineweb_short_lines", "short_lines", maximum=self.max_short_lines),
            Rule("fineweb_repeated_lines", "repeated_line_characters", maximum=self.max_repeated_line_characters),
            Rule("fineweb_newlines", "newline_ratio", maximum=self.max_newline_ratio),
        ]
