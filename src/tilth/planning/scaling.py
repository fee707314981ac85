"""What planning asks of a scaling law: loss, the best size for a budget, repeated epochs, serving. Pure functions.

A law is a mapping of E, A, B, alpha and beta, as `tilth fit chinchilla` prints them: L = E + A / N^alpha + B / D^beta.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Law = Mapping[str, float]

HOFFMANN: Law = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
BESIROGLU: Law = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
MUENNIGHOFF: Law = {"E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353}
LAWS: dict[str, tuple[Law, str]] = {
    "chinchilla": (BESIROGLU, "Hoffmann et al. 2022's points, refitted by Besiroglu et al. 2024"),
    "hoffmann": (HOFFMANN, "Hoffmann et al. 2022, approach 3, as printed (rounded)"),
    "muennighoff": (MUENNIGHOFF, "Muennighoff et al. 2023, on C4"),
}
REPEAT_DECAY = 15.4
"""R_D of Muennighoff et al. 2023, section 6."""
PF_DAY = 1e15 * 86400


@dataclass(frozen=True)
class Allocation:
    """N parameters and D tokens."""

    parameters: float
    tokens: float

    @property
    def flops(self) -> float:
        """C = 6 N D."""
        return 6 * self.parameters * self.tokens


def loss(law: Law, parameters: float, tokens: float) -> float:
    """Nats a token."""
    return law["E"] + law["A"] / parameters ** law["alpha"] + law["B"] / tokens ** law["beta"]


def optimum(law: Law, flops: float) -> Allocation:
    """The lowest loss of 6 N D = C (Hoffmann et al. 2022, equation 4): N = G (C/6)^(b/(a+b)), D = C / 6N."""
    a, b = law["alpha"], law["beta"]
    g = (a * law["A"] / (b * law["B"])) ** (1 / (a + b))
    size = g * (flops / 6) ** (b / (a + b))
    return Allocation(size, flops / 6 / size)


def kaplan_optimum(flops: float) -> Allocation:
    """Kaplan et al. 2020, table 6: N = 1.3e9 C^0.73 without embeddings, D = 2e10 C^0.27, C in PF-days."""
    days = flops / PF_DAY
    return Allocation(1.3e9 * days**0.73, 2e10 * days**0.27)


def effective_tokens(unique: float, tokens: float, decay: float = REPEAT_DECAY) -> float:
    """Fresh tokens that reading `tokens` of `unique` ones is worth: U + U R (1 - exp(-(epochs - 1) / R)).

    Muennighoff et al. 2023, equation 5. Below one epoch what is read.
    """
    if tokens <= unique:
        return tokens
    return unique * (1 + decay * -math.expm1(-(tokens / unique - 1) / decay))


def data_limited_optimum(law: Law, flops: float, unique: float, decay: float = REPEAT_DECAY) -> Allocation:
    """The lowest loss of 6 N D = C when D beyond `unique` are repeats: a smaller model read longer, or a larger one."""
    best = optimum(law, flops)
    if best.tokens <= unique:
        return best

    def of(size: float) -> float:
        return loss(law, size, effective_tokens(unique, flops / 6 / size, decay))

    size = _lowest(of, best.parameters / 100, best.parameters * 100)
    return Allocation(size, flops / 6 / size)


def tokens_for_loss(law: Law, parameters: float, wanted: float) -> float:
    """D at which a model of N parameters reaches a loss; infinity where it never does."""
    left = wanted - law["E"] - law["A"] / parameters ** law["alpha"]
    if left <= 0:
        return math.inf
    try:
        return float((law["B"] / left) ** (1 / law["beta"]))
    except OverflowError:
        return math.inf


def serving_optimum(law: Law, wanted: float, served: float) -> Allocation:
    """The N and D that reach a loss with the fewest operations over the model's life, 6 N D + 2 N x served tokens.

    Sardana et al. 2023 (arXiv:2401.00448), equation 1: the more is served, the smaller the model and the longer its
    training.
    """
    smallest = (law["A"] / (wanted - law["E"])) ** (1 / law["alpha"])

    def of(size: float) -> float:
        return 6 * size * tokens_for_loss(law, size, wanted) + 2 * size * served

    size = _lowest(of, smallest * (1 + 1e-9), smallest * 1e4)
    return Allocation(size, tokens_for_loss(law, size, wanted))


def _lowest(of, low: float, high: float, points: int = 400) -> float:  # type: ignore[no-untyped-def]
    """Where a function with one minimum in log x is lowest: a grid, then golden sections about its best point."""
    step = math.log(high / low) / points
    values = [of(low * math.exp(i * step)) for i in range(points + 1)]
    best = min(range(points + 1), key=lambda i: values[i])
    left, right = math.log(low) + (best - 1) * step, math.log(low) + (best + 1) * step
    left, right = max(left, math.log(low)), min(right, math.log(high))
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(80):
        a, b = right - golden * (right - left), left + golden * (right - left)
        left, right = (left, b) if of(math.exp(a)) <= of(math.exp(b)) else (a, right)
    return math.exp((left + right) / 2)
