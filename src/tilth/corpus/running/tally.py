"""Counting documents through the chain, and the law that none is lost.

At every step: documents in + born = documents out + rejected. `StepTally.close` raises where it does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

EXAMPLES = 3
"""Examples kept a rule."""


class Lost(AssertionError):
    """Documents are not accounted for: our fault, never the user's."""


@dataclass
class RuleTally:
    """What one rule rejected."""

    documents: int = 0
    bytes: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: RuleTally) -> None:
        """Count the other's too."""
        self.documents += other.documents
        self.bytes += other.bytes
        self.examples = (self.examples + other.examples)[:EXAMPLES]


@dataclass
class StepTally:
    """Documents and bytes of text that went into a step and came out."""

    name: str
    kind: str
    documents_in: int = 0
    bytes_in: int = 0
    documents_out: int = 0
    bytes_out: int = 0
    born: int = 0
    edited: int = 0
    labelled: int = 0
    """Documents moved into the hold-out (they stay in the chain)."""
    places: dict[str, int] = field(default_factory=dict)
    """Edits by kind."""
    rules: dict[str, RuleTally] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """Documents that the step's rules rejected."""
        return sum(rule.documents for rule in self.rules.values())

    def add(self, other: StepTally) -> None:
        """Count the other's too; it is of the same step on other documents."""
        for name in ("documents_in", "bytes_in", "documents_out", "bytes_out", "born", "edited", "labelled"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, count in other.places.items():
            self.places[kind] = self.places.get(kind, 0) + count
        for name, rule in other.rules.items():
            self.rules.setdefault(name, RuleTally()).add(rule)

    def close(self) -> None:
        """Raise `Lost` unless every document that came in or was born came out or was rejected."""
        if self.documents_in + self.born != self.documents_out + self.rejected:
            raise Lost(
                f"step {self.name}: {self.documents_in} documents in + {self.born} born != "
                f"{self.documents_out} out + {self.rejected} rejected"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StepTally:
        """What `to_json` gave."""
        rules = {name: RuleTally(**rule) for name, rule in data["rules"].items()}
        return cls(**{**data, "rules": rules})


def join(parts: Iterable[list[StepTally]]) -> list[StepTally]:
    """The tallies of the same steps over many units, added up in the order of the units."""
    total: list[StepTally] = []
    for part in parts:
        if not total:
            total = [StepTally(step.name, step.kind) for step in part]
        for mine, other in zip(total, part, strict=True):
            mine.add(other)
    for step in total:
        step.close()
    return total


def same(what: str, left: int, right: int) -> None:
    """Raise `Lost` unless both counts are equal."""
    if left != right:
        raise Lost(f"{what}: {left} != {right}")
