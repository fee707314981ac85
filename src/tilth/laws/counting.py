"""How the parameters of a model are counted: a type, because an exponent means nothing without it.

Kaplan et al. (2020) left embeddings and the head out, Hoffmann et al. (2022) counted them; much of the gap between
their exponents (0.73 against 0.50) is that (Porian et al. 2024, arXiv 2406.19146).
"""

from __future__ import annotations

from enum import StrEnum

from tilth.base.errors import UserError, nearest


class Counting(StrEnum):
    """Which parameters N counts."""

    WITHOUT_EMBEDDINGS = "without-embeddings"
    """Kaplan et al.: the layers alone."""
    WITH_HEAD = "with-head"
    """Everything that multiplies each token: the layers and the head, not the embedding look-up."""
    ALL = "all"
    """Every trained number, as Hoffmann et al. count."""


def counting_named(name: str) -> Counting:
    """The counting of that name, or an error with the known ones."""
    try:
        return Counting(name)
    except ValueError:
        hint = nearest(name, [one.value for one in Counting])
        raise UserError(f"{name!r} is no way of counting parameters", hint=hint) from None


def same_counting(left: Counting | None, right: Counting | None, what: str) -> None:
    """Refuse to bring together numbers of which one counts parameters differently; None counts none."""
    if left is not None and right is not None and left != right:
        raise UserError(
            f"{what}: one counts parameters {left.value!r}, the other {right.value!r}",
            hint="count both alike before comparing; the exponents differ by up to a third",
        )
