"""What a recipe asks of its text against what there can be at most: told as soon as that is known, not by the training.

No token is shorter than a byte, so there are no more tokens than bytes; the marks at both ends of a document come on
top. Whatever is refused here would be refused later; what passes may still be too much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError, nearest
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stages.corpus import source_files
from tilth.tokens.tokenizer import BEGIN, END, PADDING
from tilth.training.settings import PhaseSettings

GROWS = 3
"""Bytes that canonical composition (NFC) makes of one at most, as of U+1D160 (Unicode's FAQ on normalization)."""
LENGTHENING = {"symbols", "keywords"}
"""Steps that may put more than that in place of what they find."""
MARKS = 3
"""Tokens of a document beside its text, at most: begin, end, and the space that some tokenizers put before a text."""
BEFORE_MERGES = 256 + len((BEGIN, END, PADDING))
"""Pieces that a vocabulary holds before any merge: every byte, and the special ones."""
ALL = ""
"""In place of a group where a phase reads everything."""


def asked(
    planned: Sequence[tuple[PhaseSettings, Mapping[str, float]]],
) -> Iterator[tuple[PhaseSettings, str, float]]:
    """Phases in order with their mixtures: each phase, group, and the tokens that are asked of it by the phase's end.

    Phases of one sequence length read on in the same epochs, so they are counted together.
    """
    so_far: dict[tuple[int, str], float] = {}
    for phase, mixture in planned:
        total = sum(mixture.values()) or 1
        for name, weight in mixture.items():
            where = phase.sequence_length, name
            so_far[where] = so_far.get(where, 0.0) + phase.batches.tokens * weight / total
            yield phase, name, so_far[where]


def check_sources(recipe: Recipe, base: Path, domains: set[str] | None) -> None:
    """Before anything runs: UserError where the sources' files are too small for what is asked of them.

    `domains`: those that the sources will give, where that is known.
    """
    size = _most_text(recipe, base)
    if size is not None:
        _check_vocabulary(recipe, size, "the sources")
        _check_tokens(recipe, {}, size, "the sources", None if domains is None else len(domains))


def check_corpus(recipe: Recipe, report: Mapping[str, Any]) -> None:
    """The same for a corpus that is there, by its report; and every domain that is read has a document."""
    domains = {name: row for name, row in report["by_domain"].items() if row.get("documents_kept")}
    for where, names in _named(recipe):
        for name in names:
            if name not in domains and name not in recipe.groups:
                why = "tilth look RUN tells what could not be read, with --rejected all why documents went"
                hint = f"{nearest(name, domains)}; {why}"
                raise UserError(f"the corpus keeps no document of {name!r}", where=where, hint=hint)
    if recipe.pretrain and not report["documents_holdout"]:
        where, hint = "corpus.holdout", "raise corpus.holdout.fraction"
        raise UserError("the corpus holds no document out to evaluate on", where=where, hint=hint)
    most = {name: row["bytes_kept"] + MARKS * row["documents_kept"] for name, row in domains.items()}
    _check_vocabulary(recipe, report["bytes_kept"], "the corpus")
    _check_tokens(recipe, most, sum(most.values()), "the corpus", len(most))


def _named(recipe: Recipe) -> Iterator[tuple[str, list[str]]]:
    """Where groups or domains are named, and which."""
    for phase in recipe.pretrain:
        yield f"pretrain.{phase.name}.mixture", list(phase.mixture or {})
    for step in recipe.posttrain:
        yield f"posttrain.{step.name}.replay", list(step.replay)


def _most_text(recipe: Recipe, base: Path) -> int | None:
    """Bytes of text that can come of the sources; None where packed, generated or lengthened text may be more."""
    files = source_files(recipe.corpus, base)
    plain = all(file.format not in ("parquet", "foreign") and not file.packed for file in files)
    more = LENGTHENING & {step.partition(".")[0] for step in recipe.corpus.steps}
    if not plain or more or recipe.synthesize or recipe.corpus.canaries.count:
        return None
    size = sum(file.size for file in files)
    return GROWS * size + MARKS * len(files) if size else None


def _check_vocabulary(recipe: Recipe, size: int, what: str) -> None:
    """Each merge shortens the text that it is counted on by a token at least."""
    settings = recipe.tokenizer
    most = BEFORE_MERGES + len(settings.special) + size
    if settings.load is None and settings.vocabulary > most:
        raise UserError(
            f"{settings.vocabulary:,} pieces are asked, but {what} can give {most:,} at most, one for each byte of "
            "text",
            where="tokenizer.vocabulary",
            hint="lower tokenizer.vocabulary, or give more text",
        )


def _check_tokens(recipe: Recipe, most: Mapping[str, int], whole: int, what: str, domains: int | None) -> None:
    """Tokens of every domain (else of all there are), as often as `repeat` and `max_epochs` allow.

    Packed best-fit, a group has at most twice as many sequences as its tokens would fill, and one more; a phase without
    a mixture reads every one of `domains` as a group of its own.
    """
    again = max([1, *(math.ceil(entry.times) for entry in recipe.corpus.repeat)])
    for phase, name, tokens in asked([(phase, phase.mixture or {ALL: 1.0}) for phase in recipe.pretrain]):
        packed_apart = domains if name == ALL else 1
        if packed_apart is None:
            continue
        there = whole if name in (ALL, *recipe.groups) else most.get(name, whole)
        epochs = tokens / (2 * there * again + packed_apart * phase.sequence_length)
        if epochs > phase.max_epochs:
            of, lower = ("text", "the tokens") if name == ALL else (repr(name), "its weight or the tokens")
            raise UserError(
                f"by its end {tokens:,.0f} tokens of {of} are asked, but {what} can hold {there:,} at most, as none is "
                f"shorter than a byte: {epochs:,.1f} epochs or more",
                where=f"pretrain.{phase.name}",
                hint=f"lower {lower}, give more text, or raise max_epochs above {math.ceil(epochs):,}",
            )
