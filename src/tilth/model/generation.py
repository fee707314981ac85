"""Continuations of many prompts at once: the engine, filled and run until it is empty."""

from __future__ import annotations

from collections.abc import Sequence

from tilth.model.decoder import Decoder
from tilth.model.engine import Engine
from tilth.model.sampling import Continuation, Sampling, choose

__all__ = ["Continuation", "Sampling", "choose", "generate"]


def generate(
    model: Decoder | Engine,
    prompts: Sequence[Sequence[int]],
    *,
    max_new: int,
    stop: Sequence[int] = (),
    sampling: Sampling | None = None,
    seeds: Sequence[int] | None = None,
    batch: int = 256,
) -> list[Continuation]:
    """Continue every prompt (at least one token each) by up to `max_new` tokens or up to one of `stop`.

    A sequence's tokens depend on its prompt and its seed (default: 0), not on the batch that it stands in; at most
    `batch` are under way at a time. For many calls with the same weights give an engine instead of the model: the
    fused copy of the weights is then made once. UserError for a prompt that fills the model's context.
    """
    if not prompts or max_new < 1:
        return [Continuation() for _ in prompts]
    engine = model if isinstance(model, Engine) else Engine(model, batch=batch)
    seeds = seeds or [0] * len(prompts)
    requests = [
        engine.submit(prompt, max_new=max_new, stop=stop, sampling=sampling, seed=seed)
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    return engine.run(requests)
