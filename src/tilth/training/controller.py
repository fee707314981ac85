"""Who decides the mixture while training: fixed weights here; online methods implement the same protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tilth.base.errors import UserError, nearest


class Controller(Protocol):
    """Mixture weights from what was observed.

    The weights of a step are asked for while the step before it runs, so they may use the losses up to two steps
    before. A change of weights is written to the journal of decisions by the loop.
    """

    def weights(self, step: int) -> list[float]:
        """Weight of every group, at least 0, one above; asked for once a step, in order."""
        ...

    def observe(self, step: int, losses: Mapping[str, float]) -> None:
        """Mean loss in nats of every group that the step saw."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly."""
        ...


class FixedMixture:
    """The same weights throughout: as given by group name, or in proportion to the groups' sizes."""

    def __init__(self, names: Sequence[str], sizes: Sequence[int], mixture: Mapping[str, float] | None) -> None:
        given = dict(zip(names, map(float, sizes), strict=True)) if mixture is None else mixture
        for name, weight in given.items():
            if name not in names:
                raise UserError(f"mixture: there is no group {name!r}", hint=nearest(name, names))
            if weight > 0 and not sizes[list(names).index(name)]:
                raise UserError(
                    f"mixture: group {name!r} has no sequence", hint="set its weight to 0 or fill the group"
                )
        total = sum(given.values())
        if total <= 0:
            raise UserError("there is no sequence to train on", hint="the token store is empty, or every weight is 0")
        self._weights = [given.get(name, 0.0) / total for name in names]

    def weights(self, step: int) -> list[float]:
        """Always the same."""
        return list(self._weights)

    def observe(self, step: int, losses: Mapping[str, float]) -> None:
        """Nothing is learnt."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
