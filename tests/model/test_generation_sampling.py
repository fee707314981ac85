"""Choosing among the most probable tokens against sorting the whole vocabulary."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tilth.model import Sampling
from tilth.model.sampling import choose

CASES = [
    Sampling(1.0),
    Sampling(0.3),
    Sampling(1.7, top_k=7),
    Sampling(1.0, top_k=400),
    Sampling(1.0, top_k=5000),
    Sampling(1.0, top_p=0.7),
    Sampling(0.8, top_p=0.999),
    Sampling(1.3, top_k=300, top_p=0.9),
]


def slow(logits: torch.Tensor, sampling: Sampling, draw: float) -> int:
    """One row by the definition: sort, cut to k, cut to p, walk."""
    ordered, tokens = torch.sort(logits / sampling.temperature, dim=-1, descending=True, stable=True)
    if sampling.top_k:
        ordered, tokens = ordered[: sampling.top_k], tokens[: sampling.top_k]
    share = torch.softmax(ordered, -1)
    if sampling.top_p < 1:
        kept = F.pad(share.cumsum(-1)[:-1], (1, 0)) < sampling.top_p
        share, tokens = share[kept] / share[kept].sum(), tokens[kept]
    passed = 0.0
    for token, part in zip(tokens.tolist(), share.tolist(), strict=True):
        passed += part
        if passed > draw:
            return int(token)
    return int(tokens[-1])


@pytest.mark.parametrize("sampling", CASES, ids=str)
@pytest.mark.parametrize("coarse", [False, True])
def test_a_few_candidates_give_what_all_would(sampling: Sampling, coarse: bool) -> None:
    """Flat and peaked rows in one batch; coarse logits have many equals, also where the candidates end."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(24, 5000, generator=generator, dtype=torch.float64) * torch.linspace(0.5, 6, 24)[:, None]
    logits = (logits * 2).round() / 2 if coarse else logits
    for round_ in range(4):
        draws = torch.rand(24, generator=generator, dtype=torch.float64).tolist()
        draws[0], draws[1] = 0.0, 1 - 1e-9
        found = choose(logits, sampling, draws)[0].tolist()
        assert found == [slow(row, sampling, draw) for row, draw in zip(logits, draws, strict=True)], round_


def test_the_coldest_temperature_is_greedy() -> None:
    """A quotient that no float holds is not taken."""
    logits = 40 * torch.randn(3, 500, generator=torch.Generator().manual_seed(2))
    for temperature in (1e-9, 1e-300):
        assert choose(logits, Sampling(temperature), [0.9] * 3)[0].tolist() == logits.argmax(-1).tolist()
