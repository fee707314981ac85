"""AdamW and Muon as their papers write them, one matrix at a time, in fp64."""

from __future__ import annotations

import math

import numpy as np


class AdamW:
    """Loshchilov and Hutter 2019, algorithm 2."""

    def __init__(self, rate: float, betas: tuple[float, float], eps: float, decay: float) -> None:
        self.rate, self.betas, self.eps, self.decay = rate, betas, eps, decay
        self.m = self.v = np.zeros(())
        self.t = 0

    def step(self, x: np.ndarray, g: np.ndarray, multiplier: float = 1.0) -> np.ndarray:
        self.t += 1
        b1, b2 = self.betas
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g * g
        m, v = self.m / (1 - b1**self.t), self.v / (1 - b2**self.t)
        rate = self.rate * multiplier
        return x - rate * self.decay * x - rate * m / (np.sqrt(v) + self.eps)


class Muon:
    """Jordan et al. 2024: Nesterov momentum (a moving average), five Newton–Schulz steps, scaled."""

    def __init__(self, rate: float, momentum: float, decay: float, scale: str) -> None:
        self.rate, self.momentum, self.decay, self.scale = rate, momentum, decay, scale
        self.m = np.zeros(())

    def step(self, x: np.ndarray, g: np.ndarray, multiplier: float = 1.0) -> np.ndarray:
        self.m = self.momentum * self.m + (1 - self.momentum) * g
        update = newton_schulz(self.momentum * self.m + (1 - self.momentum) * g)
        rows, columns = x.shape
        update *= math.sqrt(max(1, rows / columns)) if self.scale == "shape" else 0.2 * math.sqrt(max(rows, columns))
        rate = self.rate * multiplier
        return x - rate * self.decay * x - rate * update


def newton_schulz(g: np.ndarray) -> np.ndarray:
    """X ← 3.4445 X − 4.7750 (XXᵀ)X + 2.0315 (XXᵀ)²X, five times, on the wide orientation."""
    if g.shape[0] > g.shape[1]:
        return newton_schulz(g.T).T
    x = g / (np.linalg.norm(g) + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x - 4.7750 * a @ x + 2.0315 * a @ a @ x
    return x
