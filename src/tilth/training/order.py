"""Which sequence comes next: a function of (seed, decisions) with a state of a few counters a group.

The same for any number of ranks, workers and micro-batches; any position is reached without replaying.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilth.base.errors import UserError
from tilth.base.keyed import Permutation


class Order:
    """`pick` chooses the group of the next sequence, `item` its j-th sequence.

    `names`, `sizes`: the groups and their sequences in an epoch; `length`: tokens of a sequence.
    """

    def __init__(self, names: Sequence[str], sizes: Sequence[int], length: int, seed: int) -> None:
        self.names, self.sizes, self.length, self.seed = list(names), list(sizes), length, seed
        self.drawn = [0] * len(self.names)
        """Sequences of each group handed out since the first phase: the j of `item`."""
        self._elsewhere: dict[str, int] = {}
        """The same of groups that only earlier phases had."""
        self._by_name = sorted(range(len(self.names)), key=lambda group: self.names[group])
        self._permutations: dict[int, tuple[int, Permutation]] = {}
        self.begin_phase()

    def begin_phase(self) -> None:
        """Start the quota afresh: a new phase's mixture owes nothing to the one before."""
        self.owed = [0.0] * len(self.names)
        self.picked = [0] * len(self.names)

    @property
    def number(self) -> int:
        """Sequences that the phase has drawn: the number of the next one."""
        return sum(self.picked)

    def pick(self, weights: Sequence[float]) -> int:
        """The group whose deficit of picks, against the sum of its weights so far, would first reach one sequence.

        Only groups with a deficit are candidates; ties go by name. Under constant weights every group is always less
        than one sequence from its quota (the largest deficit alone does not keep that): the earliest-deadline rule of
        Tijdeman 1980, "The chairman assignment problem".
        """
        total = sum(weights)
        for group, weight in enumerate(weights):
            self.owed[group] += weight / total
        deficits = [owed - picked for owed, picked in zip(self.owed, self.picked, strict=True)]
        wanted = [group for group in self._by_name if weights[group] > 0]
        behind = [group for group in wanted if deficits[group] > 1e-9]
        chosen = min(
            behind or wanted,  # a group that has left the mixture may keep all the deficit
            key=lambda group: round((1 - deficits[group]) * total / weights[group], 6),
        )
        self.picked[chosen] += 1
        return chosen

    def item(self, group: int, j: int) -> int:
        """The index, within the group's epoch, of its j-th sequence: each epoch is a new keyed permutation."""
        epoch, position = divmod(j, self.sizes[group])
        known = self._permutations.get(group)
        if known is None or known[0] != epoch:
            known = (epoch, Permutation(self.sizes[group], self.seed, "order", self.names[group], self.length, epoch))
            self._permutations[group] = known
        return known[1][position]

    def draw(self, weights: Sequence[float]) -> tuple[int, int]:
        """The next sequence as (group, index within its epoch)."""
        group = self.pick(weights)
        j = self.drawn[group]
        self.drawn[group] += 1
        return group, self.item(group, j)

    def state_dict(self) -> dict[str, Any]:
        """Plain values, by group name."""
        return {
            "length": self.length,
            "drawn": self._elsewhere | dict(zip(self.names, self.drawn, strict=True)),
            "owed": dict(zip(self.names, self.owed, strict=True)),
            "picked": dict(zip(self.names, self.picked, strict=True)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly; the groups must be the same."""
        if sorted(state["picked"]) != sorted(self.names) or state["length"] != self.length:
            raise UserError(
                f"the saved order is of groups {sorted(state['picked'])} at length {state['length']}, "
                f"the data has {sorted(self.names)} at {self.length}"
            )
        self._take_drawn(state["drawn"])
        self.owed = [state["owed"][name] for name in self.names]
        self.picked = [state["picked"][name] for name in self.names]

    def continue_from(self, state: dict[str, Any]) -> None:
        """Begin a phase behind another: groups of the same name go on where they stopped.

        A phase of another length packs other sequences: its groups begin anew.
        """
        if state["length"] == self.length:
            self._take_drawn(state["drawn"])
        self.begin_phase()

    def _take_drawn(self, drawn: dict[str, int]) -> None:
        self.drawn = [drawn.get(name, 0) for name in self.names]
        self._elsewhere = {name: count for name, count in drawn.items() if name not in self.names}
