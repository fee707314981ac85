"""What planning asks of a scaling law: loss, the best size for a budget, repeated epochs, serving. Pure functions.

A law is a mapping of E, A, B, alpha and beta, as `tilth fit chinchilla` prints them: L = E + A / N^alpha + B / D^beta.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tilth.laws.chinchilla import BESIROGLU, HOFFMANN, optimum
from tilth.laws.counting import Counting
from tilth.laws.kaplan import Allocation
from tilth.laws.repeated import MUENNIGHOFF, effective_tokens

Law = Mapping[str, float]

LAWS: dict[str, tuple[Law, str]] = {
    "chinchilla": (BESIROGLU, "Hoffmann et al. 2022's points, refitted by Besiroglu et al. 2024"),
    "hoffmann": (HOFFMANN, "Hoffmann et al. 2022, approach 3, as printed (rounded)"),
    "muennighoff": (MUENNIGHOFF, "Muennighoff et al. 2023, on C4"),
}


def loss(law: Law, parameters: float, tokens: float) -> float:
    """Nats a token."""
    return law["E"] + law["A"] / parameters ** law["alpha"] + law["B"] / tokens ** law["beta"]


def data_limited_optimum(law: Law, flops: float, unique: float) -> Allocation:
    """The lowest loss of 6 N D = C when D beyond `unique` are repeats: a smaller model read longer, or a larger one."""
    best = optimum(law, flops)
    if best.tokens <= unique:
        return best

    def of(size: float) -> float:
        return loss(law, size, effective_tokens(unique, flops / 6 / size / unique))

    size = _lowest(of, best.parameters / 100, best.parameters * 100)
    return Allocation(size, flops / 6 / size, Counting.ALL)


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
    return Allocation(size, tokens_for_loss(law, size, wanted), Counting.ALL)


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
