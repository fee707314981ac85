"""Choosing the next token, and what has been chosen so far.

Shapes: B sequences, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; filters apply in the order temperature, top-k, top-p."""

    temperature: float = 0.0
    """0: the most probable token (the lowest id among equals)."""
    top_k: int = 0
    """Only the k most probable; 0: all."""
    top_p: float = 1.0
    """Only the smallest set of most probable tokens whose mass reaches p (Holtzman et al. 2020)."""


@dataclass
class Continuation:
    """What was generated behind one prompt."""

    tokens: list[int] = field(default_factory=list)
    """Without the stop token."""
    log_probabilities: list[float] = field(default_factory=list)
    """Of each token (the stop token too, where there is one), by the model at temperature 1."""
    stopped: bool = False
    """By a stop token rather than by the limit."""


def choose(logits_BV: Tensor, sampling: Sampling, draws: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Next tokens (int64[B]) and their log-probabilities at temperature 1.

    A draw in [0, 1) picks where the cumulative probability, most probable token first, passes it.
    """
    exact_BV = logits_BV if logits_BV.dtype == torch.float64 else logits_BV.float()
    if sampling.temperature <= 0:
        chosen_B = exact_BV.argmax(-1)
    else:
        ordered_BV, tokens_BV = torch.sort(exact_BV / sampling.temperature, dim=-1, descending=True, stable=True)
        if sampling.top_k:
            ordered_BV, tokens_BV = ordered_BV[:, : sampling.top_k], tokens_BV[:, : sampling.top_k]
        mass_BV = torch.softmax(ordered_BV, -1).cumsum(-1)
        if sampling.top_p < 1:
            kept_BV = F.pad(mass_BV[:, :-1], (1, 0)) < sampling.top_p  # up to the token that reaches p
            mass_BV = torch.softmax(ordered_BV.masked_fill(~kept_BV, -torch.inf), -1).cumsum(-1)
        draw_B1 = torch.tensor(draws, dtype=mass_BV.dtype, device=mass_BV.device)[:, None]
        place_B1 = torch.searchsorted(mass_BV, draw_B1 * mass_BV[:, -1:], right=True)
        chosen_B = tokens_BV.gather(1, place_B1.clamp_max(tokens_BV.shape[1] - 1))[:, 0]
    log_B = torch.log_softmax(exact_BV, -1).gather(1, chosen_B[:, None])[:, 0]
    return chosen_B, log_B
