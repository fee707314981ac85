"""The engine: continuous batching. Requests join and leave between steps; each has its own settings and random stream.

What a request is answered depends on its prompt, its settings and its seed, not on who else is in the batch (up to the
rounding of products of another size).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tilth.base.errors import UserError
from tilth.base.keyed import uniform
from tilth.model.decoder import Decoder
from tilth.model.inference import InferenceDecoder, KeyValueCache
from tilth.model.sampling import Continuation, Sampling, choose

_WORTH_SHARING = 32
"""Tokens at the beginning of several prompts that are worth a step of their own."""


@dataclass(eq=False)
class Request:
    """A prompt on its way; `result` grows with every step."""

    prompt: Sequence[int]
    max_new: int
    stop: frozenset[int]
    sampling: Sampling
    seed: int
    result: Continuation = field(default_factory=Continuation)
    finished: bool = False
    """By a stop token (`result.stopped`), by its limit, or because it was cancelled."""

    @property
    def longest(self) -> int:
        """Cache slots that it can come to need."""
        return len(self.prompt) + self.max_new

    def draw(self) -> float:
        """The number in [0, 1) that picks the next token."""
        return uniform(self.seed, "generate", len(self.result.tokens)) if self.sampling.temperature > 0 else 0.0

    def take(self, token: int, log_probability: float) -> None:
        """Note what was chosen."""
        self.result.log_probabilities.append(log_probability)
        if token in self.stop:
            self.result.stopped = True
        else:
            self.result.tokens.append(token)
        self.finished = self.result.stopped or len(self.result.tokens) == self.max_new


def _beginning(a: Sequence[int], b: Sequence[int], most: int) -> int:
    """Up to `most` tokens that two prompts share at their beginning; 0 if they are few. Each keeps one of its own."""
    most = min(most, len(a) - 1, len(b) - 1)
    shared = next((place for place in range(most) if a[place] != b[place]), most)
    return shared if shared >= _WORTH_SHARING else 0


class Engine:
    """Generates for many requests at once with one model's weights, in one thread."""

    def __init__(
        self,
        model: Decoder,
        *,
        batch: int = 64,
        context: int | None = None,
        dtype: torch.dtype | None = None,
        prefill: int = 4096,
    ) -> None:
        """`batch`: rows at most. `context`: prompt and answer at most, in tokens; default the model's.

        `dtype` of weights, products and cache; default that of the model's products. `prefill`: prompt tokens read in
        one step (a longer prompt is read alone).
        """
        self.decoder = InferenceDecoder(model, dtype)
        self.batch, self.prefill = batch, prefill
        self.context = context or model.config.max_positions
        self.cache = KeyValueCache(model.config, self.decoder.dtype, self.decoder.device)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        """Request r is in row r of the cache."""

    @property
    def busy(self) -> bool:
        """Whether a step would do something."""
        return bool(self.waiting or self.running)

    def submit(
        self,
        prompt: Sequence[int],
        *,
        max_new: int | None = None,
        stop: Sequence[int] = (),
        sampling: Sampling | None = None,
        seed: int = 0,
    ) -> Request:
        """Queue a prompt; it joins the batch when there is room.

        `max_new`: tokens at most, never more than the context still holds. UserError for a prompt that leaves no room.
        """
        self.check(prompt)
        left = self.context - len(prompt)
        limit = left if max_new is None else min(max_new, left)
        request = Request(prompt, limit, frozenset(stop), sampling or Sampling(), seed)
        self.waiting.append(request)
        return request

    def check(self, prompt: Sequence[int]) -> None:
        """UserError for a prompt that is empty, fills the context or holds unknown tokens."""
        if not prompt:
            raise UserError("the prompt has no tokens", hint="give some text, or the begin mark")
        if len(prompt) >= self.context:
            raise UserError(
                f"the prompt has {len(prompt):,} tokens; the model's context holds {self.context:,}, answer included",
                hint="shorten the prompt",
            )
        vocabulary = self.decoder.config.vocabulary_size
        if not 0 <= min(prompt) <= max(prompt) < vocabulary:
            raise UserError(f"the prompt holds token ids outside of the model's vocabulary of {vocabulary:,}")

    def cancel(self, request: Request) -> None:
        """Take a request out with the next step; what it has so far stays in its result."""
        if request in self.waiting:
            self.waiting.remove(request)
        request.finished = True

    def clear(self) -> None:
        """Forget all requests, as after a step that failed."""
        for request in (*self.waiting, *self.running):
            request.finished = True
        self.waiting.clear()
        self.running.clear()
        self.cache.clear()

    @torch.inference_mode()
    def step(self) -> list[Request]:
        """One token more for every running request; waiting ones join first. Returns those that got one."""
        self._retire()  # what was cancelled
        hidden = [*self._extend(), *self._admit()]
        if not hidden:
            return []
        advanced = list(self.running)
        chosen_B, log_B = self._choose(self.decoder.logits(torch.cat(hidden)))
        for request, token, log in zip(advanced, chosen_B.tolist(), log_B.tolist(), strict=True):
            request.take(token, log)
        self._retire()
        return advanced

    def _extend(self) -> list[Tensor]:
        """The running rows' last tokens, through the model: [B×H], or nothing."""
        if not self.running:
            return []
        used = max(self.cache.lengths) + 1
        self.cache.reserve(len(self.running), used, max(request.longest for request in self.running))
        tokens_B = torch.tensor([request.result.tokens[-1] for request in self.running], device=self.cache.store.device)
        return [self.decoder.extend(tokens_B, self.cache)]

    def _admit(self) -> list[Tensor]:
        """Requests that join now, their prompts read: the last token's [R×H], or nothing.

        A prompt that several of them have (samples of one question) is read once.
        """
        joining, shared = self._joining()
        if not joining:
            return []
        alike: dict[tuple[int, ...], list[Request]] = {}
        for request in joining:
            alike.setdefault(tuple(request.prompt), []).append(request)
        self.running += [request for group in alike.values() for request in group]
        longest = max(map(len, alike))
        self.cache.reserve(len(self.running), longest, max(request.longest for request in self.running))
        x_UH = self._read(list(alike), shared if len(alike) > 1 else 0)
        if len(alike) == len(joining):
            return [x_UH]
        copies = torch.tensor([len(group) for group in alike.values()], device=x_UH.device)
        self.cache.spread(copies.tolist())
        return [x_UH.repeat_interleave(copies, 0)]

    def _read(self, prompts: Sequence[Sequence[int]], shared: int) -> Tensor:
        """New rows for these prompts, the first `shared` tokens of which are the same: their last tokens' [U×H]."""
        device = self.cache.store.device
        lengths = [len(prompt) - shared for prompt in prompts]
        if shared:
            positions_N, attention = self.cache.fill([shared])
            self.decoder.forward(torch.tensor(prompts[0][:shared], device=device), positions_N, shared, attention)
            self.cache.spread([len(prompts)])
            positions_N, attention = self.cache.extend_by(lengths)
        else:
            positions_N, attention = self.cache.fill(lengths)
        tokens_N = torch.tensor([token for prompt in prompts for token in prompt[shared:]], device=device)
        last_U = torch.tensor(lengths, device=device).cumsum(0) - 1
        return self.decoder.forward(tokens_N, positions_N, shared + max(lengths), attention, last_U)

    def _joining(self) -> tuple[list[Request], int]:
        """The next in the queue that there is room for, and how many tokens they share at the beginning (or 0)."""
        joining: list[Request] = []
        tokens = shared = 0
        while self.waiting and len(self.running) + len(joining) < self.batch:
            prompt = self.waiting[0].prompt
            common = _beginning(joining[0].prompt, prompt, shared) if joining else len(prompt)
            read = tokens + len(prompt) - len(joining) * common
            if joining and (read > self.prefill or (len(joining) > 1 and shared and not common)):
                break  # full, or it would end the sharing of those before it
            joining.append(self.waiting.popleft())
            tokens, shared = tokens + len(prompt), common
        return joining, shared

    def _choose(self, logits_BV: Tensor) -> tuple[Tensor, Tensor]:
        """Next tokens and their log-probabilities; rows with the same settings are chosen together."""
        rows_of: dict[Sampling, list[int]] = {}
        for row, request in enumerate(self.running):
            rows_of.setdefault(request.sampling, []).append(row)
        draws = [request.draw() for request in self.running]
        if len(rows_of) == 1:
            return choose(logits_BV, self.running[0].sampling, draws)
        parts = []
        for sampling, rows in rows_of.items():
            index = torch.tensor(rows, device=logits_BV.device)
            parts.append((index, *choose(logits_BV[index], sampling, [draws[row] for row in rows])))
        order, chosen, log = (torch.cat(column) for column in zip(*parts, strict=True))
        back = order.argsort()
        return chosen[back], log[back]

    def _retire(self) -> None:
        """Free the rows of finished requests; the last row takes such a place, so that rows stay without gaps."""
        for row in reversed(range(len(self.running))):
            if self.running[row].finished:
                self.cache.drop(row)
                self.running[row] = self.running[-1]
                self.running.pop()

    def run(self, requests: Sequence[Request]) -> list[Continuation]:
        """Step until all of these are finished."""
        while not all(request.finished for request in requests):
            self.step()
        return [request.result for request in requests]
