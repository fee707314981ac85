"""Generation with the cache against recomputing everything for every token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tilth.base.keyed import uniform
from tilth.model import Boundaries, Decoder, ModelSettings, Sampling, build, generate
from tilth.model.generation import choose

SETTINGS = ModelSettings(hidden=32, heads=4, kv_heads=2, layers=3, output_projections="normal", initial_std=0.3)
PROMPTS = [[1, 2, 3], [7], [5, 5, 9, 30, 2, 8, 11], [4, 4]]


def model() -> Decoder:
    return build(SETTINGS.config(40), seed=5).double()


def slow(decoder: Decoder, prompt: list[int], count: int, sampling: Sampling, seed: int, stop: list[int]) -> list[int]:
    """One sequence, the whole of it computed for every token."""
    tokens = list(prompt)
    for step in range(count):
        boundaries = Boundaries(torch.tensor([0, len(tokens)], dtype=torch.int32), 1)
        with torch.no_grad():
            hidden = decoder(torch.tensor(tokens), torch.arange(len(tokens)), boundaries)[-1:]
            chosen, _ = choose(decoder.logits(hidden), sampling, [uniform(seed, "generate", step)])
        if int(chosen) in stop:
            break
        tokens.append(int(chosen))
    return tokens[len(prompt) :]


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(1.0), Sampling(0.7, top_k=5), Sampling(1.3, top_p=0.8), Sampling(0.9, 10, 0.5)]
)
def test_the_cache_changes_nothing(sampling: Sampling) -> None:
    decoder, seeds = model(), [3, 1, 4, 1]
    found = generate(decoder, PROMPTS, max_new=24, sampling=sampling, seeds=seeds, stop=[0, 13])
    for prompt, seed, result in zip(PROMPTS, seeds, found, strict=True):
        assert result.tokens == slow(decoder, prompt, 24, sampling, seed, [0, 13])


def test_a_sequence_does_not_depend_on_its_batch() -> None:
    decoder, sampling = model(), Sampling(1.0)
    together = generate(decoder, PROMPTS, max_new=12, sampling=sampling, seeds=[1, 2, 3, 4])
    alone = [generate(decoder, [p], max_new=12, sampling=sampling, seeds=[i])[0] for i, p in enumerate(PROMPTS, 1)]
    assert [r.tokens for r in together] == [r.tokens for r in alone]
    assert np.allclose([r.log_probabilities for r in together], [r.log_probabilities for r in alone], atol=1e-12)


def test_stop_tokens_end_a_sequence_and_are_left_out() -> None:
    decoder = model()
    free = generate(decoder, [PROMPTS[0]], max_new=10)[0]
    assert not free.stopped
    stop = free.tokens[4]
    stopped = generate(decoder, [PROMPTS[0]], max_new=10, stop=[stop])[0]
    assert stopped.stopped
    assert stopped.tokens == free.tokens[: free.tokens.index(stop)]
    assert len(stopped.log_probabilities) == len(stopped.tokens) + 1


def test_draws_follow_the_probabilities() -> None:
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]], dtype=torch.float64).log()
    draws = [(i + 0.5) / 1000 for i in range(1000)]
    tokens, logs = choose(logits.expand(1000, -1), Sampling(1.0), draws)
    assert torch.bincount(tokens, minlength=4).tolist() == [100, 400, 200, 300]
    assert torch.allclose(logs.exp(), logits[0].exp()[tokens])
    nucleus, _ = choose(logits.expand(1000, -1), Sampling(1.0, top_p=0.6), draws)
    assert sorted(set(nucleus.tolist())) == [1, 3]
    best, _ = choose(logits.expand(1000, -1), Sampling(2.0, top_k=1), draws)
    assert set(best.tolist()) == {1}
