"""Rules for Chinese: the published set of MAP-CC, and ours, which keeps law, classics and poetry."""

from __future__ import annotations

from typing import Literal

from tilth.base.expression import Where
from tilth.corpus.rules.base import PublishedRules, Rule


class ChineseRules(PublishedRules):
    """What both sets ask. A Han character counts as a word: no dictionary, no segmenter, and the same for every script.

    Shares are of the characters that are not spaces; n-gram shares are of all characters, n counting Han characters and
    words of other scripts; a top n-gram counts from its second occurrence on. The classic rules of English pages (stop
    words, words of 3 to 10 letters, lines that end in a full stop) mean nothing here and are not asked.
    """

    where: Where | None = 'language == "zh"'
    min_characters: int | None
    max_characters: int | None
    min_han_share: float | None
    min_sentences: int | None
    max_mean_sentence_length: float | None
    max_hash_ratio: float | None
    max_ellipsis_ratio: float | None
    max_bracket_share: float | None
    """Lenticular brackets 【】, the mark of advertising titles."""
    max_digit_share: float | None
    max_symbol_share: float | None
    max_bullet_lines: float | None
    min_punctuation_share: float | None
    min_unique_words: float | None
    min_entropy: float | None
    """Of the distribution of words, in nats."""
    max_duplicate_line_characters: float | None
    max_repeated_top_2gram: float | None
    max_repeated_top_3gram: float | None
    max_repeated_top_4gram: float | None
    max_duplicate_5gram: float | None
    max_duplicate_6gram: float | None
    max_duplicate_7gram: float | None
    max_duplicate_8gram: float | None
    max_duplicate_9gram: float | None
    max_duplicate_10gram: float | None
    max_looped_5gram: float | None
    """Share of characters that say again what stands within the fifty words before."""
    max_garbled_share: float | None
    """Replacement characters, private use, and the accented letters that wrongly decoded UTF-8 gives."""
    max_rare_han_share: float | None
    """Of Han outside the frequent levels of both national sets: UTF-8 read as GBK gives such."""
    min_prose_density: float | None
    """Grammatical words and sentence ends to a Han character: lists of keywords have neither."""
    min_character_order: float | None
    """About 1 for shuffled characters."""

    def every_rule(self) -> list[Rule]:
        return [
            Rule("chinese_characters", "characters", self.min_characters, self.max_characters),
            Rule("chinese_han_share", "han_share", minimum=self.min_han_share),
            Rule("chinese_sentences", "sentences", minimum=self.min_sentences),
            Rule("chinese_sentence_length", "mean_sentence_length", maximum=self.max_mean_sentence_length),
            Rule("chinese_hashes", "hash_ratio", maximum=self.max_hash_ratio),
            Rule("chinese_ellipses", "ellipsis_ratio", maximum=self.max_ellipsis_ratio),
            Rule("chinese_brackets", "bracket_share", maximum=self.max_bracket_share),
            Rule("chinese_digits", "digit_share", maximum=self.max_digit_share),
            Rule("chinese_symbols", "symbol_share", maximum=self.max_symbol_share),
            Rule("chinese_bullet_lines", "bullet_lines", maximum=self.max_bullet_lines),
            Rule("chinese_punctuation", "punctuation_share", minimum=self.min_punctuation_share),
            Rule("chinese_unique_words", "unique_words", minimum=self.min_unique_words),
            Rule("chinese_entropy", "entropy", minimum=self.min_entropy),
            Rule("chinese_duplicate_lines", "duplicate_line_characters", maximum=self.max_duplicate_line_characters),
            *(
                Rule(f"chinese_{signal}", signal, maximum=getattr(self, f"max_{signal}"))
                for signal in ("repeated_top_2gram", "repeated_top_3gram", "repeated_top_4gram")
            ),
            *(
                Rule(
                    f"chinese_duplicate_{n}gram", f"duplicate_{n}gram", maximum=getattr(self, f"max_duplicate_{n}gram")
                )
                for n in range(5, 11)
            ),
            Rule("chinese_loops", "looped_5gram", maximum=self.max_looped_5gram),
            Rule("chinese_garbled", "garbled_share", maximum=self.max_garbled_share),
            Rule("chinese_rare_characters", "rare_han_share", maximum=self.max_rare_han_share),
            Rule("chinese_prose", "prose_density", minimum=self.min_prose_density),
            Rule("chinese_character_order", "character_order", minimum=self.min_character_order),
        ]


class MapCC(ChineseRules):
    """MAP-CC (Du et al., 2024, arXiv:2404.04167), as in the code released with MAP-NEO (arXiv:2405.19327).

    Its length (50 to 10,000), unique share and entropy count characters already. Made for web pages: it rejects short
    poems and long statutes. Left out: mean word length of a dictionary segmenter and the share of "read more" lines.
    """

    set: Literal["map_cc"] = "map_cc"
    min_characters: int | None = 50
    max_characters: int | None = 10_000
    min_han_share: float | None = None
    min_sentences: int | None = 2
    max_mean_sentence_length: float | None = None
    max_hash_ratio: float | None = 0.1
    max_ellipsis_ratio: float | None = 0.1
    max_bracket_share: float | None = 0.1
    max_digit_share: float | None = 0.3
    max_symbol_share: float | None = None
    max_bullet_lines: float | None = 0.9
    min_punctuation_share: float | None = 1e-6
    """Any at all."""
    min_unique_words: float | None = 0.1
    min_entropy: float | None = 3
    max_duplicate_line_characters: float | None = None
    max_repeated_top_2gram: float | None = 0.20
    max_repeated_top_3gram: float | None = 0.18
    max_repeated_top_4gram: float | None = 0.16
    max_duplicate_5gram: float | None = 0.60
    max_duplicate_6gram: float | None = 0.60
    max_duplicate_7gram: float | None = 0.60
    max_duplicate_8gram: float | None = 0.60
    max_duplicate_9gram: float | None = 0.60
    max_duplicate_10gram: float | None = 0.60
    max_looped_5gram: float | None = None
    max_garbled_share: float | None = None
    max_rare_han_share: float | None = None
    min_prose_density: float | None = None
    min_character_order: float | None = None


class Chinese(ChineseRules):
    """Our default: MAP-CC's rules with room for what is clean and unlike a web page.

    At least 10 characters, as in WuDaoCorpora (Yuan et al., 2021, AI Open 2); no upper length, since statutes and
    novels are long. A tenth of Han where ChineseWebText asks for 30 % (Chen et al., 2023, arXiv:2311.01149): technical
    documents hold code and English names. Headings, tables and lists of figures repeat marks and digits, so the
    limits of hashes, digits and top n-grams are wider; entropy leaves room for a poem of twenty characters.
    Of clean encyclopaedia, law and technical text 99 % pass, of classics and poetry 95 % and more.
    """

    set: Literal["chinese"] = "chinese"
    min_characters: int | None = 10
    max_characters: int | None = None
    min_han_share: float | None = 0.1
    min_sentences: int | None = None
    max_mean_sentence_length: float | None = 500
    max_hash_ratio: float | None = 0.2
    max_ellipsis_ratio: float | None = 0.1
    max_bracket_share: float | None = 0.1
    max_digit_share: float | None = 0.5
    max_symbol_share: float | None = 0.3
    max_bullet_lines: float | None = 0.9
    min_punctuation_share: float | None = None
    min_unique_words: float | None = None
    min_entropy: float | None = 2
    max_duplicate_line_characters: float | None = 0.6
    max_repeated_top_2gram: float | None = 0.25
    max_repeated_top_3gram: float | None = 0.35
    max_repeated_top_4gram: float | None = 0.45
    max_duplicate_5gram: float | None = 0.60
    max_duplicate_6gram: float | None = 0.60
    max_duplicate_7gram: float | None = 0.60
    max_duplicate_8gram: float | None = 0.60
    max_duplicate_9gram: float | None = 0.60
    max_duplicate_10gram: float | None = 0.60
    max_looped_5gram: float | None = 0.35
    max_garbled_share: float | None = 0.05
    max_rare_han_share: float | None = 0.2
    min_prose_density: float | None = 0.03
    min_character_order: float | None = 4
