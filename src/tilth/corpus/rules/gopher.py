"""The rules of Gopher (Rae et al., 2021, arXiv:2112.11446, appendix A.1.1): quality and repetition."""

from __future__ import annotations

from typing import Literal

from tilth.base.expression import Where
from tilth.corpus.rules.base import PublishedRules, Rule


class GopherQuality(PublishedRules):
    """Document quality: length, word length, symbols, bullets, ellipses, letters, stop words.

    Words are counted without those made of punctuation only, as FineWeb's reimplementation does
    (Penedo et al., 2024, arXiv:2406.17557); symbol ratios are over all tokens, punctuation included. That code takes
    the 80 % of words with a letter over all tokens too, which rejects two in five textbooks of mathematics: to decide
    as it does, set min_alphabetic_words to null and min_alphabetic_tokens to 0.8.
    """

    set: Literal["gopher_quality"] = "gopher_quality"
    where: Where | None = 'language == "en"'
    min_words: int | None = 50
    max_words: int | None = 100_000
    min_mean_word_length: float | None = 3
    max_mean_word_length: float | None = 10
    max_hash_ratio: float | None = 0.1
    max_ellipsis_ratio: float | None = 0.1
    max_bullet_lines: float | None = 0.9
    max_ellipsis_lines: float | None = 0.3
    min_alphabetic_words: float | None = 0.8
    min_alphabetic_tokens: float | None = None
    min_stop_words: int | None = 2
    """Distinct words among the, be, to, of, and, that, have, with."""

    def every_rule(self) -> list[Rule]:
        return [
            Rule("gopher_words", "words", self.min_words, self.max_words),
            Rule("gopher_mean_word_length", "mean_word_length", self.min_mean_word_length, self.max_mean_word_length),
            Rule("gopher_hashes", "hash_ratio", maximum=self.max_hash_ratio),
            Rule("gopher_ellipses", "ellipsis_ratio", maximum=self.max_ellipsis_ratio),
            Rule("gopher_bullet_lines", "bullet_lines", maximum=self.max_bullet_lines),
            Rule("gopher_ellipsis_lines", "ellipsis_lines", maximum=self.max_ellipsis_lines),
            Rule("gopher_alphabetic_words", "alphabetic_words", minimum=self.min_alphabetic_words),
            Rule("gopher_alphabetic_tokens", "alphabetic_tokens", minimum=self.min_alphabetic_tokens),
            Rule("gopher_stop_words", "stop_words", minimum=self.min_stop_words),
        ]


class GopherRepetition(PublishedRules):
    """Repetition within a document (table A1): shares of lines, paragraphs and characters that repeat."""

    set: Literal["gopher_repetition"] = "gopher_repetition"
    where: Where | None = 'language == "en"'
    max_duplicate_paragraphs: float | None = 0.30
    max_duplicate_paragraph_characters: float | None = 0.20
    max_duplicate_lines: float | None = 0.30
    max_duplicate_line_characters: float | None = 0.20
    max_top_2gram: float | None = 0.20
    max_top_3gram: float | None = 0.18
    max_top_4gram: float | None = 0.16
    max_duplicate_5gram: float | None = 0.15
    max_duplicate_6gram: float | None = 0.14
    max_duplicate_7gram: float | None = 0.13
    max_duplicate_8gram: float | None = 0.12
    max_duplicate_9gram: float | None = 0.11
    max_duplicate_10gram: float | None = 0.10

    def every_rule(self) -> list[Rule]:
        signals = [name.removeprefix("max_") for name in type(self).model_fields if name.startswith("max_")]
        return [Rule(f"gopher_{name}", name, maximum=getattr(self, f"max_{name}")) for name in signals]
