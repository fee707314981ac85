"""The document rules of C4 (Raffel et al., 2020, arXiv:1910.10683, section 2.2)."""

from __future__ import annotations

from typing import Literal

from tilth.base.expression import Where
from tilth.corpus.rules.base import PublishedRules, Rule


class C4(PublishedRules):
    """Reject pages with `lorem ipsum`, with a curly bracket, or of fewer than five sentences in well-formed lines.

    As in the published code, only lines are looked at that C4 would keep: of at least three words, none of them over
    1,000 characters, ending in . ? ! or a quotation mark and not in an ellipsis; for the count of sentences, also
    free of `javascript` and of cookie and policy notices. Removing the other lines is an edit, not a rule.
    """

    set: Literal["c4"] = "c4"
    where: Where | None = 'language == "en"'
    max_lorem_ipsum: int | None = 0
    max_curly_brackets: int | None = 0
    min_sentences: int | None = 5

    def every_rule(self) -> list[Rule]:
        return [
            Rule("c4_lorem_ipsum", "c4_lorem_ipsum", maximum=self.max_lorem_ipsum),
            Rule("c4_curly_brackets", "c4_curly_brackets", maximum=self.max_curly_brackets),
            Rule("c4_sentences", "c4_sentences", minimum=self.min_sentences),
        ]
