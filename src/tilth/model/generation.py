"""Generation: a whole batch at once, keys and values kept, every sequence with its own random stream.

Shapes: B sequences, S cache slots, A query heads, G key and value heads, D head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tilth.base.keyed import uniform
from tilth.model.attention import Boundaries, attend
from tilth.model.decoder import Decoder


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


@torch.no_grad()
def generate(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_new: int,
    stop: Sequence[int] = (),
    sampling: Sampling | None = None,
    seeds: Sequence[int] | None = None,
) -> list[Continuation]:
    """Continue every prompt (at least one token each) by up to `max_new` tokens or up to one of `stop`.

    A sequence's tokens depend on its prompt and its seed (default: 0), not on the batch that it stands in.
    """
    if not prompts or max_new < 1:
        return [Continuation() for _ in prompts]
    sampling, seeds = sampling or Sampling(), seeds or [0] * len(prompts)
    device = model.embedding.weight.device
    lengths = [len(prompt) for prompt in prompts]
    cache = KeyValueCache(model, lengths, max(lengths) + max_new)
    hidden = model(*_pack(prompts, device), cache)
    ends = torch.tensor(lengths, device=device).cumsum(0) - 1
    hidden_BH = hidden[ends]
    results = [Continuation() for _ in prompts]
    alive = list(range(len(prompts)))
    for step in range(max_new):
        logits_BV = model.logits(hidden_BH)
        draws = [uniform(seeds[i], "generate", step) for i in alive]
        chosen_B, log_B = choose(logits_BV, sampling, draws)
        going = _append([results[i] for i in alive], chosen_B.tolist(), log_B.tolist(), stop)
        if len(going) < len(alive):
            rows = torch.tensor(going, dtype=torch.int64, device=device)
            alive, chosen_B = [alive[i] for i in going], chosen_B[rows]
            cache.keep(rows)
        if not alive or step == max_new - 1:
            break
        offsets = torch.arange(len(alive) + 1, dtype=torch.int32, device=device)
        positions = cache.lengths_B.clone()
        hidden_BH = model(chosen_B, positions, Boundaries(offsets, len(alive)), cache)
    return results


def _pack(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor, Boundaries]:
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    tokens = torch.tensor([token for prompt in prompts for token in prompt], device=device)
    offsets = F.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    positions = torch.arange(len(tokens)) - offsets[:-1].repeat_interleave(lengths)
    return tokens, positions.to(device), Boundaries(offsets.to(device), 1)


def _append(results: list[Continuation], tokens: list[int], logs: list[float], stop: Sequence[int]) -> list[int]:
    """Note what was chosen; returns which rows go on."""
    going = []
    for row, (result, token, log) in enumerate(zip(results, tokens, logs, strict=True)):
        result.log_probabilities.append(log)
        if token in stop:
            result.stopped = True
        else:
            result.tokens.append(token)
            going.append(row)
    return going


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


class KeyValueCache:
    """Keys and values of every layer, [B, G, S, D]; each sequence has its own length."""

    def __init__(self, model: Decoder, lengths: Sequence[int], slots: int) -> None:
        config, weight = model.config, model.embedding.weight
        self.device, self.layers = weight.device, config.layers
        shape = (config.layers, 2, len(lengths), config.kv_heads, slots, config.head_dim)
        self.store = torch.zeros(shape, dtype=model.compute_dtype or weight.dtype, device=self.device)
        self.lengths_B = torch.tensor(lengths, device=self.device)
        self.used = max(lengths)
        """Slots in use by the longest sequence, known without asking the device."""
        self.filled = False

    def attend(self, layer: int, q_NAD: Tensor, k_NGD: Tensor, v_NGD: Tensor, boundaries: Boundaries) -> Tensor:
        """Prompts: attention inside each, keys and values stored. Later: one token a sequence against all before it."""
        out = (
            self._step(layer, q_NAD, k_NGD, v_NGD)
            if self.filled
            else self._fill(layer, q_NAD, k_NGD, v_NGD, boundaries)
        )
        if layer == self.layers - 1:
            if self.filled:
                self.lengths_B = self.lengths_B + 1
            self.used += 1  # the slot that the next step writes to
            self.filled = True
        return out

    def _fill(self, layer: int, q: Tensor, k: Tensor, v: Tensor, boundaries: Boundaries) -> Tensor:
        sequences = torch.arange(len(self.lengths_B), device=self.device).repeat_interleave(self.lengths_B)
        places = torch.arange(len(q), device=self.device) - boundaries.offsets[:-1].repeat_interleave(self.lengths_B)
        for kind, x in enumerate((k, v)):
            self.store[layer, kind][sequences, :, places] = x
        return attend(q, k, v, boundaries)

    def _step(self, layer: int, q_BAD: Tensor, k_BGD: Tensor, v_BGD: Tensor) -> Tensor:
        keys, values = self.store[layer]
        rows = torch.arange(len(q_BAD), device=self.device)
        keys[rows, :, self.lengths_B] = k_BGD
        values[rows, :, self.lengths_B] = v_BGD
        mask_BS = torch.arange(self.used, device=self.device) <= self.lengths_B[:, None]
        groups: dict[str, Any] = {"enable_gqa": True} if q_BAD.shape[1] != k_BGD.shape[1] else {}
        out = F.scaled_dot_product_attention(
            q_BAD[:, :, None],
            keys[:, :, : self.used],
            values[:, :, : self.used],
            attn_mask=mask_BS[:, None, None],
            **groups,
        )
        return out[:, :, 0]

    def keep(self, rows: Tensor) -> None:
        """Only these sequences go on."""
        self.store, self.lengths_B = self.store[:, :, rows], self.lengths_B[rows]
