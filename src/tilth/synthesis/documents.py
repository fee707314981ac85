"""What a generator yields, and the helpers that every grammar shares."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TypedDict

from tilth.base.keyed import stable_hash

MARKS = {"en": ("Question: ", "Answer: "), "zh": ("问：", "答：")}
"""What stands in front of a question and of its answer."""


class Generated(TypedDict):
    """One generated document, as a JSON line of the corpus's own layout."""

    id: str
    text: str
    domain: str
    language: str
    source: str
    license: str


Writer = Callable[[random.Random], str]


def generate(kind: str, writers: dict[str, Writer], count: int, seed: int) -> Iterator[Generated]:
    """`count` documents of `kind`, the languages in turn; document i depends on (seed, kind, i) alone."""
    languages = list(writers)
    for index in range(count):
        language = languages[index % len(languages)]
        rng = random.Random(stable_hash(seed, kind, index))
        yield Generated(
            id=f"{kind}-{index}",
            text=writers[language](rng),
            domain=kind,
            language=language,
            source="tilth-grammar",
            license="Apache-2.0",
        )


def fill(template: str, rng: random.Random, slots: dict[str, list[str]], given: dict[str, str] | None = None) -> str:
    """Replace each `{slot}` by one of its words; a slot named twice gets the same word twice."""
    chosen = dict(given or {})

    class Chooser(dict[str, str]):
        def __missing__(self, key: str) -> str:
            chosen[key] = rng.choice(slots[key])
            self[key] = chosen[key]
            return chosen[key]

    return template.format_map(Chooser(chosen))
