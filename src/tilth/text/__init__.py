"""Floor 1: kernels over Arrow string buffers, Chinese and English alike. No torch.

statistics       what the rule sets ask for: words, lines, repetition, characters
signatures       MinHash signatures over n-grams of units
content_hashes   128-bit hashes of whole texts
cluster          leader clustering of signatures: near-duplicates
split_passages   lines, paragraphs, sentences: where each stands, and its hash
anchors, windows where substrings can stand at several places, and their hashes
Seen, by_part    which keys have been met before, part by part of the keys
Ngrams, Hits     the n-grams of benchmark items and where documents hold them
personal_places  where personal data can stand
narrow           full-width letters and digits as ASCII
Heads            lines in which one of some phrases may begin: a cheap test
Keywords         many words looked for at once, in Chinese and English
web_lines        lines that are no prose: capitals, figures, one word
control_flags    which texts need the slow repair path
unit_counts      how many words and single Han characters a text has
script_shares    in which scripts a text is written

The statistics: measure (all in one call), words (with cutting and memo), units, lines, repetition, c4, code. What text
is made of: characters and unicode (tables), scripts, urls and exceptions (where words do not end), flags, furniture.
Under them: buffers (Arrow's memory), hashing; minhash, leaders, ngrams (with ngram_index and spans), passages,
substrings, seen, heads, keywords, widths and places (which gives signs, by the company of a place) stand on them.

What reads texts takes a `pa.LargeStringArray` without nulls and gives numpy arrays of its length, or places in it.
numba and the kernels are loaded at the first use of a name, not by `import tilth.text`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.base.lazy import lazy

if TYPE_CHECKING:
    from tilth.text.flags import control_flags
    from tilth.text.furniture import web_lines
    from tilth.text.hashing import content_hashes
    from tilth.text.heads import Heads
    from tilth.text.keywords import Keywords
    from tilth.text.leaders import cluster
    from tilth.text.measure import statistics
    from tilth.text.minhash import signatures
    from tilth.text.ngrams import Hits, Ngrams
    from tilth.text.passages import split_passages
    from tilth.text.places import personal_places
    from tilth.text.scripts import script_shares
    from tilth.text.seen import Seen, by_part
    from tilth.text.substrings import anchors, windows
    from tilth.text.units import unit_counts
    from tilth.text.widths import narrow

__getattr__ = lazy(
    __name__,
    {
        "flags": "control_flags",
        "furniture": "web_lines",
        "hashing": "content_hashes",
        "heads": "Heads",
        "keywords": "Keywords",
        "leaders": "cluster",
        "measure": "statistics",
        "minhash": "signatures",
        "ngrams": "Hits Ngrams",
        "passages": "split_passages",
        "places": "personal_places",
        "scripts": "script_shares",
        "seen": "Seen by_part",
        "substrings": "anchors windows",
        "units": "unit_counts",
        "widths": "narrow",
    },
)

__all__ = [
    "Heads",
    "Hits",
    "Keywords",
    "Ngrams",
    "Seen",
    "anchors",
    "by_part",
    "cluster",
    "content_hashes",
    "control_flags",
    "narrow",
    "personal_places",
    "script_shares",
    "signatures",
    "split_passages",
    "statistics",
    "unit_counts",
    "web_lines",
    "windows",
]
