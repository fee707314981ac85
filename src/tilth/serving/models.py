"""A model ready to answer: its engine, its tokenizer and, where it has one, its chat template."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from tilth.base import machine
from tilth.base.errors import UserError
from tilth.model import Engine, import_model
from tilth.tokens.chat import Chat, find_chat
from tilth.tokens.tokenizer import TEMPLATE, Tokenizer
from tilth.training import device as devices


@dataclass(eq=False)
class ServedModel:
    """One model by its name."""

    name: str
    engine: Engine
    tokenizer: Tokenizer
    chat: Chat | None
    """None: a base model, which continues texts but knows no turns."""

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        return self.engine.context

    def needs_chat(self) -> Chat:
        """The chat template; UserError where there is none."""
        if self.chat is None:
            raise UserError(
                f"{self.name} is a base model: it has no chat template, it continues texts",
                hint="tilth serve offers it under /v1/completions; a template is named by "
                f"{TEMPLATE} in tokenizer_config.json",
            )
        return self.chat

    def text_prompt(self, text: str) -> list[int]:
        """A text to be continued, as a document begins."""
        head = [] if self.tokenizer.bos is None else [self.tokenizer.bos]
        return head + self.tokenizer.encode(text)

    @property
    def text_stop(self) -> tuple[int, ...]:
        """The end of a document."""
        return () if self.tokenizer.eos is None else (self.tokenizer.eos,)


def load_model(name: str, folder: Path, *, device: str = "auto", dtype: str = "fp32", batch: int = 64) -> ServedModel:
    """Read a Hugging Face folder. `dtype`: fp32 or bf16."""
    tokenizer = Tokenizer.load(folder)
    chosen = devices.choose(device)
    if dtype not in ("fp32", "bf16"):
        raise UserError(f"dtype: {dtype!r} is not known", hint="fp32 or bf16")
    wanted = torch.bfloat16 if dtype == "bf16" else torch.float32
    model = import_model(folder, wanted).to(chosen)
    if tokenizer.vocabulary_size > model.config.vocabulary_size:
        raise UserError(
            f"the tokenizer knows {tokenizer.vocabulary_size:,} tokens, the model {model.config.vocabulary_size:,}",
            where=str(folder),
        )
    return ServedModel(name, Engine(model, batch=batch), tokenizer, find_chat(tokenizer))


def set_threads(models: Iterable[ServedModel], wanted: int | None = None) -> int:
    """Set the process's threads, which all its models share, and return them; None: what the largest is fastest with.

    Only models on a CPU care: without one, nothing is measured.
    """
    on_cpu = [model.engine for model in models if model.engine.decoder.device.type == "cpu"]
    if wanted is None and on_cpu:
        wanted = fastest_threads(max(on_cpu, key=lambda engine: engine.decoder.config.parameter_count))
    if wanted is not None:
        torch.set_num_threads(wanted)
    return torch.get_num_threads()


def fastest_threads(engine: Engine) -> int:
    """1, 2, 4, … threads tried on a few steps; more are taken only where they are a fifth faster.

    Two threads on two busy cores can be far slower than one, so this is measured, not guessed.
    """
    best, best_seconds = 1, float("inf")
    count = 1
    while count <= machine.cores():
        torch.set_num_threads(count)
        seconds = _seconds_of_steps(engine)
        if seconds < 0.8 * best_seconds:
            best, best_seconds = count, seconds
        count *= 2
    return best


def _seconds_of_steps(engine: Engine, steps: int = 4) -> float:
    request = engine.submit([0], max_new=steps + 1)
    engine.step()
    began = time.perf_counter()
    engine.run([request])
    return time.perf_counter() - began
