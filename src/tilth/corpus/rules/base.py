"""A rule: one measured column, a lowest and a highest value; and what every published rule set has."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tilth.base.expression import Where
from tilth.base.settings import Settings


@dataclass(frozen=True)
class Rule:
    """Keep a document whose column `signal.SIGNAL` lies within [minimum, maximum]; either end may be open.

    Both ends are inside, as the published rules have it ("more than 30 %" is rejected, 30 % is not). Columns are
    float32 or int64: compare them with the plain Python numbers kept here, which numpy then takes as float32, so that
    a share of exactly 3 in 10 is not above 0.3.
    """

    name: str
    signal: str
    minimum: float | None = None
    maximum: float | None = None

    def failures(self, values: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
        """For each end that is not open: where the values of the signal lie beyond it (bool [N]), and the end."""
        if self.minimum is not None:
            yield values < self.minimum, self.minimum
        if self.maximum is not None:
            yield values > self.maximum, self.maximum


class PublishedRules(Settings):
    """Base of the rule sets: `where` says which documents they are for, `rules()` what is asked of those, in order.

    A document is rejected by the first rule that it fails. A threshold set to null switches its rule off.
    """

    where: Where | None = None

    def rules(self) -> list[Rule]:
        """The rules that are switched on, in the order in which they are asked."""
        return [rule for rule in self.every_rule() if rule.minimum is not None or rule.maximum is not None]

    @abstractmethod
    def every_rule(self) -> list[Rule]:
        """All rules of the set, the ones switched off included."""
