"""Dynamic loss scaling for products in fp16: gradients are made so much larger that small ones do not become zero.

Micikevicius et al. 2018, "Mixed Precision Training" (arXiv:1710.03740, section 3.2). The scale is halved when a step's
gradient is not finite, which is then not learnt from, and doubled after 2,000 that were. Powers of two: without an
overflow they change no bit. No torch.
"""

from __future__ import annotations

import math
from typing import Any

FIRST, LEAST, MOST = 2.0**16, 1.0, 2.0**24
GROWTH_STEPS = 2000


class LossScale:
    """The factor, and what it depends on: a part of the phase's state, the same in every process."""

    def __init__(self, *, active: bool) -> None:
        self.active = active
        self.reset()

    def reset(self) -> None:
        """As before the first step."""
        self.value, self._fine = (FIRST if self.active else 1.0), 0

    def is_overflow(self, loss: float, norm: float) -> bool:
        """Whether a gradient that is not finite is fp16's doing alone: the loss is finite and the scale can fall."""
        return self.active and self.value > LEAST and math.isfinite(loss) and not math.isfinite(norm)

    def note(self, norm: float) -> str | None:
        """Learn from a step's gradient norm (already divided by the scale); says so when it falls."""
        if not self.active:
            return None
        if not math.isfinite(norm):
            self.value, self._fine = max(LEAST, self.value / 2), 0
            return f"the loss scale of fp16 falls to {self.value:g}"
        self._fine += 1
        if self._fine >= GROWTH_STEPS:
            self.value, self._fine = min(MOST, self.value * 2), 0
        return None

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"value": self.value, "fine": self._fine}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly."""
        self.value, self._fine = state["value"], state["fine"]
