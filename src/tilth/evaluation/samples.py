"""Continuations of prompts, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.base.keyed import stable_hash
from tilth.evaluation.settings import SampleSettings
from tilth.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tilth.model import Decoder


def continue_prompts(model: Decoder, tokenizer: Tokenizer, settings: SampleSettings, seed: int) -> list[dict[str, str]]:
    """`prompt` and `text` of each prompt; a prompt's sample depends on the seed and the prompt alone."""
    from tilth.model import Sampling, generate

    head = [] if tokenizer.bos is None else [tokenizer.bos]
    prompts = [head + tokenizer.encode(prompt) for prompt in settings.prompts]
    sampling = Sampling(temperature=settings.temperature, top_p=settings.top_p)
    stop = () if tokenizer.eos is None else (tokenizer.eos,)
    seeds = [stable_hash(seed, "sample", prompt) for prompt in settings.prompts]
    answers = generate(model, prompts, max_new=settings.tokens, stop=stop, sampling=sampling, seeds=seeds)
    return [
        {"prompt": prompt, "text": tokenizer.decode(answer.tokens)}
        for prompt, answer in zip(settings.prompts, answers, strict=True)
    ]
