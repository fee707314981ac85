"""Choosing the next token, and what has been chosen so far.

Shapes: B sequences, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

_FIRST = 256
"""Candidates looked at before a row is sorted whole: on a CPU a tenth of the time at a vocabulary of 8,192."""

_COLDEST = 1e-5
"""Below, a quotient of logits may be no number; here the likeliest token has all the mass already."""


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

    A draw in [0, 1) picks where the cumulative probability, most probable token first (the lowest id among equals),
    passes it.
    """
    exact_BV = logits_BV if logits_BV.dtype == torch.float64 else logits_BV.float()
    if sampling.temperature <= 0:
        best_B, chosen_B = exact_BV.max(-1)
        return chosen_B, -(exact_BV - best_B[:, None]).exp_().sum(-1).log_()  # best - logsumexp
    draw_B1 = torch.tensor(draws, dtype=exact_BV.dtype, device=exact_BV.device)[:, None]
    chosen_B = _draw(exact_BV / max(sampling.temperature, _COLDEST), sampling, draw_B1)
    return chosen_B, exact_BV.gather(1, chosen_B[:, None])[:, 0] - exact_BV.logsumexp(-1)


def _draw(logits_BV: Tensor, sampling: Sampling, draw_B1: Tensor) -> Tensor:
    """First among a few hundred of the most probable tokens; only rows that need more are sorted whole."""
    vocabulary = logits_BV.shape[1]
    chosen_B, sure_B = _draw_among(min(vocabulary, max(_FIRST, 2 * sampling.top_k)), logits_BV, sampling, draw_B1)
    if not sure_B.all():
        rows = (~sure_B).nonzero()[:, 0]
        chosen_B[rows] = _draw_among(vocabulary, logits_BV[rows], sampling, draw_B1[rows])[0]
    return chosen_B


def _draw_among(count: int, logits_BV: Tensor, sampling: Sampling, draw_B1: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens drawn from the `count` most probable; and whether it is sure that all would give the same."""
    ordered_BK, tokens_BK = _most_probable(logits_BV, count)
    total_B1, floor_B1 = logits_BV.logsumexp(-1, keepdim=True), ordered_BK[:, -1:]
    if sampling.top_k:
        ordered_BK, tokens_BK = ordered_BK[:, : sampling.top_k], tokens_BK[:, : sampling.top_k]
        total_B1 = ordered_BK.logsumexp(-1, keepdim=True)
    mass_BK = (ordered_BK - total_B1).exp().cumsum(-1)
    end_B1 = None
    if sampling.top_p < 1:
        end_B1 = (mass_BK[:, :-1] < sampling.top_p).sum(-1, keepdim=True)  # the token that reaches p
        draw_B1 = draw_B1 * mass_BK.gather(1, end_B1)
    place_B1 = torch.searchsorted(mass_BK, draw_B1, right=True).clamp_max(mass_BK.shape[1] - 1)
    # what lies above the floor is there completely and in its final order
    seen_B1 = ordered_BK[:, -1:] if sampling.top_k else ordered_BK.gather(1, place_B1 if end_B1 is None else end_B1)
    sure_B1 = (seen_B1 > floor_B1) | (count == logits_BV.shape[1])
    return tokens_BK.gather(1, place_B1)[:, 0], sure_B1[:, 0]


def _most_probable(logits_BV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest logits in falling order and their tokens, the lowest id among equals first."""
    if count == logits_BV.shape[1]:
        ordered_BK, tokens_BK = torch.sort(logits_BV, dim=-1, descending=True, stable=True)
        return ordered_BK, tokens_BK
    tokens_BK = logits_BV.topk(count, sorted=False).indices.sort().values
    ordered_BK, order_BK = torch.sort(logits_BV.gather(1, tokens_BK), dim=-1, descending=True, stable=True)
    return ordered_BK, tokens_BK.gather(1, order_BK)
