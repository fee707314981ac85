"""Rules: sets of thresholds over measured columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.expression import Condition
from tilth.corpus.document import SIGNAL
from tilth.corpus.steps import DecideColumns, Rejections, View, WorkFolder

if TYPE_CHECKING:
    from tilth.corpus.rules import RuleSet


class RulesStep(DecideColumns):
    """Rejects a document by the first rule that it fails, in the order of the sets and of their rules."""

    def __init__(self, name: str, sets: Sequence[RuleSet]) -> None:
        super().__init__(name)
        self.sets: list[tuple[Any, Condition | None]] = [(s, Condition(s.where) if s.where else None) for s in sets]

    def needs(self) -> Sequence[str]:
        """The signals of the rules and the columns of the conditions."""
        names = {_column(rule.signal) for rules, _ in self.sets for rule in rules.rules()}
        names.update(name for _, where in self.sets if where for name in where.names)
        return sorted(names)

    def decide(self, view: View, work: WorkFolder) -> Rejections:
        """Batch by batch; a rejection carries the value and the bound that it crossed."""
        needed = self.needs()
        parts = [self._decide(start, columns) for start, columns in view.batches(needed)] if needed else []
        return Rejections.join(parts)

    def _decide(self, start: int, columns: dict[str, np.ndarray]) -> Rejections:
        count = len(next(iter(columns.values())))
        open_rows = np.ones(count, bool)
        rules = np.full(count, "", object)
        values, thresholds = np.zeros(count), np.zeros(count)
        for rule_set, where in self.sets:
            applies = where(columns, count) if where else np.ones(count, bool)
            for rule in rule_set.rules():
                signal = columns[_column(rule.signal)]
                for fails, bound in rule.failures(signal):
                    rows = open_rows & applies & fails
                    open_rows &= ~rows
                    rules[rows] = rule.name
                    values[rows], thresholds[rows] = signal[rows], bound
        rows = np.flatnonzero(~open_rows)
        return Rejections.of(rows + start, rules[rows], values[rows], thresholds[rows])


def _column(signal: str) -> str:
    return signal if signal.startswith(SIGNAL) else SIGNAL + signal
