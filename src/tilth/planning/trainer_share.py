"""What one of several processes keeps of a model's states under ZeRO, in the assignment of training/partition.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tilth.laws.partition import UNDER_WAY, owners


@dataclass(frozen=True)
class Piece:
    """A tensor that has one owner."""

    shape: tuple[int, int]
    moments: int
    """Numbers that the optimizer keeps for each of its own; 0: it is frozen."""
    layer: int | None = None
    """None: outside the layers."""
    head: bool = False
    """Whether it is the matrix of the head."""

    @property
    def numbers(self) -> int:
        """Rows times columns."""
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class Share:
    """Numbers that the process which keeps most keeps between two steps, and that pass through it in one."""

    parameters: float
    gradients: float
    moments: float
    matrices: tuple[tuple[int, int], ...]
    """Of the layers' matrices that it updates."""
    head: float
    """Of the head, if that is another's,"""
    layer: float
    """and of the layer of which most is others'."""
    sent: float
    """Gradients on their way to their owners, at most (stages 2 and 3)."""


def largest_share(pieces: Sequence[Piece], small: int, processes: int, stage: int) -> Share:
    """Of `pieces` and of `small` numbers beside them: norms and biases, of which each process has an equal part.

    The small ones are trained where nothing is frozen.
    """
    ranks = processes if stage else 1
    whose = _owners(pieces, ranks)
    trained_small = 0 if any(not piece.moments for piece in pieces) else small

    def held(rank: int) -> int:
        mine = [piece for piece, owner in zip(pieces, whose, strict=True) if owner == rank]
        return sum(p.numbers * (p.moments + (stage == 3) + (stage >= 2 and p.moments > 0)) for p in mine)

    most = max(range(ranks), key=held)
    own = [piece for piece, owner in zip(pieces, whose, strict=True) if owner == most]
    others = [piece for piece, owner in zip(pieces, whose, strict=True) if owner != most]
    gradients = [piece.numbers for piece in (own if stage >= 2 else pieces) if piece.moments]
    sent = [piece.numbers for piece in others if piece.moments]
    all_trained = sum(piece.numbers for piece in pieces if piece.moments)  # one's own count as under way, but are kept
    return Share(
        parameters=sum(p.numbers for p in (own if stage == 3 else pieces)) + small / (ranks if stage == 3 else 1),
        gradients=sum(gradients) + trained_small / (ranks if stage >= 2 else 1),
        moments=sum(piece.numbers * piece.moments for piece in own) + 2 * trained_small / ranks,
        matrices=tuple(piece.shape for piece in own if piece.moments and piece.layer is not None),
        head=max((piece.numbers for piece in others if piece.head), default=0),
        layer=max(_layers(others).values(), default=0),
        sent=min(sum(sent), max([UNDER_WAY * sum(sent) / max(all_trained, 1), *sent])) if stage >= 2 else 0,
    )


def _layers(pieces: Iterable[Piece]) -> dict[int, int]:
    """Numbers of each layer."""
    found: dict[int, int] = {}
    for piece in pieces:
        if piece.layer is not None:
            found[piece.layer] = found.get(piece.layer, 0) + piece.numbers
    return found


def _owners(pieces: Sequence[Piece], ranks: int) -> list[int]:
    """What is trained is shared evenly, and what is frozen."""
    found = [0] * len(pieces)
    for trained in (True, False):
        places = [place for place, piece in enumerate(pieces) if (piece.moments > 0) == trained]
        for place, owner in zip(places, owners([pieces[place].numbers for place in places], ranks), strict=True):
            found[place] = owner
    return found
