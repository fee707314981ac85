"""What planning asks of a scaling law: loss, the best size for a budget, repeated epochs, serving. Pure functions.

A law is a mapping of E, A, B, alpha and beta, as `tilth fit chinchilla` prints them: L = E + A / N^alpha + B / D^beta.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tilth.laws.allocation import Allocation
from tilth.laws.chinchilla import BESIROGLU, HOFFMANN, optimum
from tilth.laws.choices import Constants
from tilth.laws.counting import Counting
from tilth.laws.flops import serving_flops, tokens_for, training_flops
from tilth.laws.repeated import MUENNIGHOFF, repeated_loss

Law = Mapping[str, float]
Array = np.ndarray[Any, np.dtype[np.float64]]

MOST_EPOCHS = 1000
"""Behind so many epochs another one brings less than a hundred-billionth of a nat."""
REACHED = 1e-10
"""A loss is reached where it is off by so much, relatively: nearer than that, of many epochs, rounding would decide."""

LAWS: dict[Constants, tuple[Law, str]] = {
    "chinchilla": (BESIROGLU, "Hoffmann et al. 2022's points, refitted by Besiroglu et al. 2024"),
    "hoffmann": (HOFFMANN, "Hoffmann et al. 2022, approach 3, as printed (rounded)"),
    "muennighoff": (MUENNIGHOFF, "Muennighoff et al. 2023, on C4"),
}


def loss(law: Law, parameters: float, tokens: float) -> float:
    """Nats a token."""
    return law["E"] + law["A"] / parameters ** law["alpha"] + law["B"] / tokens ** law["beta"]


def data_limited_optimum(law: Law, flops: float, unique: float) -> Allocation:
    """The lowest loss of 6 N D = C with `unique` tokens at hand: repeats and excess parameters both lose their worth.

    Muennighoff et al. 2023, equations 5 and 6, minimised over N by number.
    """
    best = optimum(law, flops)
    if best.tokens <= unique:
        return best

    def of(size: Array) -> Array:
        return repeated_loss(law, size, tokens_for(flops, size), unique)

    return Allocation.of(flops, _lowest(of, best.parameters / 1e3, best.parameters * 1e3), Counting.ALL)


def loss_with(law: Law, parameters: float, tokens: float, unique: float | None) -> float:
    """Nats a token, of `unique` different tokens at hand (None: all are fresh)."""
    if unique is None:
        return loss(law, parameters, tokens)
    return float(repeated_loss(law, np.array([parameters]), np.array([tokens]), unique)[0])


def tokens_for_loss(law: Law, parameters: Array, wanted: float, unique: float | None = None) -> Array:
    """D at which models of N parameters (n,) reach a loss; infinity where they never do.

    Where tokens repeat, D is found by halving: the loss falls with every token, though ever less.
    """
    if unique is None:
        left = wanted - law["E"] - law["A"] / parameters ** law["alpha"]
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray((law["B"] / np.maximum(left, 0.0)) ** (1 / law["beta"]))
    wanted *= 1 + REACHED
    low = np.zeros_like(parameters)
    high = np.full_like(parameters, math.log(MOST_EPOCHS * unique))
    never = repeated_loss(law, parameters, np.exp(high), unique) > wanted
    for _ in range(80):
        middle = (low + high) / 2
        above = repeated_loss(law, parameters, np.exp(middle), unique) > wanted
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(never, np.inf, np.exp(high))


def serving_optimum(
    law: Law, wanted: float, served: float, unique: float | None = None, *, weight: float = 1.0
) -> Allocation:
    """The N and D that reach a loss most cheaply over the model's life: lowest 6 N D + weight x 2 N x served tokens.

    With a weight of 1 these are operations (Sardana et al. 2023, arXiv:2401.00448, equation 1), with the utilisation of
    training over that of serving device time, and so money (their real-world cost). The more is served, the smaller the
    model and the longer its training; as far as the tokens at hand reach, where `unique` says how many there are.
    """
    smallest = (law["A"] / (wanted - law["E"])) ** (1 / law["alpha"])

    def of(size: Array) -> Array:
        train = training_flops(size, tokens_for_loss(law, size, wanted, unique))
        return train + weight * serving_flops(size, served)

    size = _lowest(of, smallest * (1 + 1e-9), smallest * 1e4)
    return Allocation(size, float(tokens_for_loss(law, np.array([size]), wanted, unique)[0]), Counting.ALL)


def _lowest(of: Callable[[Array], Array], low: float, high: float, points: int = 800) -> float:
    """Where `of` (sizes (n,) -> (n,)) is lowest: a grid in log x, then golden sections about its best point.

    Where `of` jumps to infinity the sections end beside the jump: of what was looked at, the lowest is taken.
    """
    grid = np.linspace(math.log(low), math.log(high), points + 1)
    best = int(of(np.exp(grid)).argmin())
    left, right = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, points)])
    golden = (math.sqrt(5) - 1) / 2
    lowest, at = math.inf, float(grid[best])
    for _ in range(80):
        a, b = right - golden * (right - left), left + golden * (right - left)
        at_a, at_b = of(np.exp([a, b]))
        lowest, at = min((lowest, at), (float(at_a), a), (float(at_b), b))
        left, right = (left, b) if at_a <= at_b else (a, right)
    sizes = [math.exp(x) for x in ((left + right) / 2, left, right, at, float(grid[best]))]
    return min(sizes, key=lambda size: float(of(np.array([size]))[0]))
