"""What is out of the ordinary: a step that is not to be learnt from, and a spike that stays. No torch.

A step is out of the ordinary when its loss, or the logarithm of its gradient norm, stands more than `sigmas` σ above
the median of the last accepted steps (OLMo 2, arXiv:2501.00656, section 3.4, skips at six σ over 128 steps). σ is the
largest of the standard deviation, of 1.4826 times the median absolute deviation, and of a floor: the two agree on
normal noise, the first is larger on heavy tails, and the floor keeps a run that is nearly still from alarms over
nothing. A spike is sustained when the median of the last `sustained` steps stands four σ of single steps above what
was before them; the way out is PaLM's (arXiv:2204.02311, section 5.1): back, past the data, and on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from tilth.base.files import finite
from tilth.training.settings import GuardSettings

LEAST = 64
"""Accepted steps before anything is judged: at a phase's beginning nothing is ordinary yet."""
LOSS_FLOOR, NORM_FLOOR = 0.01, 0.15
"""Smallest σ: of the loss as a share of its median, of the logarithm of the norm as it is."""
SUSTAINED_SIGMAS = 4.0
SHIFT = 0.1
"""A mixture of which more than this share of the weight has moved begins a new window."""


class Guard:
    """Judges each step before its update, from figures that are the same on every rank."""

    def __init__(self, settings: GuardSettings) -> None:
        self.settings = settings
        self.history: deque[tuple[float, float, bool]] = deque(maxlen=settings.window + settings.sustained)
        """(loss, log of the gradient norm, accepted) of the last steps."""
        self._weights: Sequence[float] | None = None

    def judge(self, loss: float, norm: float) -> str | None:
        """Why the step with these is not to be learnt from, or None."""
        if not math.isfinite(norm):
            return f"the gradient is not finite ({norm})"
        accepted = [(x, y) for x, y, fine in self.history if fine]
        if self.settings.sigmas is None or len(accepted) < min(LEAST, self.settings.window):
            return None
        for name, value, past, floor in (
            ("loss", loss, [x for x, _ in accepted], LOSS_FLOOR),
            ("gradient norm", _log(norm), [y for _, y in accepted], NORM_FLOOR),
        ):
            middle, sigma = _ordinary(past, floor, relative=name == "loss")
            distance = (value - middle) / sigma
            if distance > self.settings.sigmas:
                shown, usual = (value, middle) if name == "loss" else (norm, math.exp(middle))
                return f"the {name} {shown:.4g} stands {distance:.1f} sigma above the last steps' {usual:.4g}"
        return None

    def note(self, loss: float, norm: float, *, accepted: bool) -> None:
        """Remember a step."""
        finite = math.isfinite(loss) and math.isfinite(norm)
        self.history.append((loss if finite else math.inf, _log(norm) if finite else math.inf, accepted and finite))

    def sustained(self) -> int | None:
        """How many of the last steps a spike has lasted that does not end by itself, or None."""
        recent = list(self.history)[-self.settings.sustained :]
        before = [x for x, _, fine in list(self.history)[: -self.settings.sustained] if fine]
        if self.settings.sigmas is None or len(before) < min(LEAST, self.settings.window):
            return None
        middle, sigma = _ordinary(before, LOSS_FLOOR, relative=True)
        limit = middle + SUSTAINED_SIGMAS * sigma
        above = [x > limit or not fine for x, _, fine in recent]
        return len(above) - above.index(True) if 2 * sum(above) > len(above) else None

    def mixture(self, weights: Sequence[float]) -> None:
        """Begin anew where the mixture has moved: another level of the loss is then nothing to wonder at."""
        if self._weights is None:
            self._weights = list(weights)
        elif sum(abs(a - b) for a, b in zip(weights, self._weights, strict=True)) / 2 > SHIFT * sum(weights):
            self.history.clear()
            self._weights = list(weights)

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"history": [[finite(x), finite(y), fine] for x, y, fine in self.history], "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly."""
        self.history.clear()
        self.history.extend((_value(x), _value(y), fine) for x, y, fine in state["history"])
        self._weights = state["weights"]


def _ordinary(values: Sequence[float], floor: float, *, relative: bool) -> tuple[float, float]:
    """Median and σ."""
    seen = np.array(values)
    middle = float(np.median(seen))
    deviation = 1.4826 * float(np.median(np.abs(seen - middle)))
    return middle, max(float(seen.std()), deviation, floor * abs(middle) if relative else floor, 1e-12)


def _log(norm: float) -> float:
    return math.log(max(norm, 1e-30))


def _value(value: float | None) -> float:
    return math.inf if value is None else value
