"""Continuations of prompts, for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilth.base.keyed import stable_hash
from tilth.evaluation.settings import SampleSettings
from tilth.tokens.chat import Chat
from tilth.tokens.conversation import Turn
from tilth.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tilth.model import Decoder


def answer_questions(model: Decoder, chat: Chat, settings: SampleSettings, seed: int) -> list[dict[str, str]]:
    """`prompt` and `text` of each question, put through the chat template."""
    prompts = [chat.prompt([Turn("user", question)]) for question in settings.questions]
    return _continue(model, chat.tokenizer, settings, settings.questions, prompts, chat.stop, seed)


def continue_prompts(model: Decoder, tokenizer: Tokenizer, settings: SampleSettings, seed: int) -> list[dict[str, str]]:
    """`prompt` and `text` of each prompt; a prompt's sample depends on the seed and the prompt alone."""
    head = [] if tokenizer.bos is None else [tokenizer.bos]
    prompts = [head + tokenizer.encode(prompt) for prompt in settings.prompts]
    stop = () if tokenizer.eos is None else (tokenizer.eos,)
    return _continue(model, tokenizer, settings, settings.prompts, prompts, stop, seed)


def _continue(
    model: Decoder,
    tokenizer: Tokenizer,
    settings: SampleSettings,
    texts: Sequence[str],
    prompts: list[list[int]],
    stop: tuple[int, ...],
    seed: int,
) -> list[dict[str, str]]:
    from tilth.model import Sampling, generate

    sampling = Sampling(temperature=settings.temperature, top_p=settings.top_p)
    seeds = [stable_hash(seed, "sample", text) for text in texts]
    found = generate(model, prompts, max_new=settings.tokens, stop=stop, sampling=sampling, seeds=seeds)
    return [{"prompt": t, "text": tokenizer.decode(c.tokens)} for t, c in zip(texts, found, strict=True)]
