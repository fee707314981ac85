"""What a forward pass draws, as a function of its place: which sequence of a phase's step, layer, token and channel.

So it is the same for any micro-batch and number of processes, on any device, on resume, and when a layer is computed
again: no generator has a state that could differ (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
Dropout is Srivastava et al. 2014's; of embedding and residual as in GPT-2 (Radford et al. 2019), of an adapter's input
as in LoRA (Hu et al. 2021). NEFTune's noise on the embedding is Jain et al. 2023's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from tilth.base.keyed import stable_hash
from tilth.model.attention import Boundaries

_GOLDEN, _FIRST, _SECOND = (x - 2**32 * (x >> 31) for x in (0x9E3779B9, 0x7FEB352D, 0x846CA68B))
"""As int32; the last two are those of `lowbias32` (Wellons 2018), a mixer of 32 bits found by search."""


class Dropout(NamedTuple):
    """Shares of the elements that are set to zero in training; the others are divided by what is left."""

    embedding: float = 0.0
    residual: float = 0.0
    """Of what attention and feed-forward add to the residual stream."""
    adapter: float = 0.0
    """Of what a low-rank adapter is applied to."""


def sequence_keys(seed: int, phase: str, step: int, numbers: Iterable[int], device: torch.device) -> Tensor:
    """int32[rows]: a key for each sequence of the phase's step (from 0 in every phase), by their numbers in it."""
    keys = [stable_hash(seed, "dropout", phase, step, number) >> 32 for number in numbers]
    return torch.tensor(keys, dtype=torch.int64).sub_(2**31).to(torch.int32).to(device)


def token_keys(keys_R: Tensor, tokens: int) -> Tensor:
    """int32[N]: a key for each token of R sequences of equal length, one behind the other."""
    place_T = torch.arange(tokens // len(keys_R), dtype=torch.int32, device=keys_R.device) * _GOLDEN
    return _mix(keys_R[:, None] ^ _mix(place_T)).flatten()


def site_keys(keys_N: Tensor, site: int) -> Tensor:
    """int32[N]: keys for one of the places in the model, or in a layer of it, where something is drawn."""
    return _mix(keys_N ^ (site * _GOLDEN & 0x7FFFFFFF))


def drop(x_NH: Tensor, keys_N: Tensor, rate: float) -> Tensor:
    """`x_NH` with a share `rate` of its elements set to zero, and the others divided by 1 - rate."""
    kept_NH = _draw(keys_N, x_NH.shape[1]) >= round(rate * 2**32) - 2**31
    return torch.where(kept_NH, x_NH * (1 / (1 - rate)), 0.0)


def embedding_noise(x_NH: Tensor, keys_N: Tensor, boundaries: Boundaries, alpha: float) -> Tensor:
    """NEFTune: uniform noise in ±alpha / sqrt(L · H), L the tokens of the segment (Jain et al. 2023, algorithm 1)."""
    ends_S = boundaries.offsets[1:].to(torch.int64)
    segment_N = torch.bucketize(torch.arange(x_NH.shape[0], device=x_NH.device), ends_S, right=True)
    length_N1 = boundaries.offsets.diff().index_select(0, segment_N)[:, None]
    uniform_NH = _draw(keys_N, x_NH.shape[1]).to(x_NH.dtype) * 2.0**-31
    return uniform_NH * (alpha / (length_N1 * x_NH.shape[1]).to(x_NH.dtype).sqrt())


def _draw(keys_N: Tensor, channels: int) -> Tensor:
    """int32[N×H]: uniform over all int32, for each channel of each token."""
    channel_H = _mix(torch.arange(channels, dtype=torch.int32, device=keys_N.device) * _GOLDEN)
    return _mix(keys_N[:, None] ^ channel_H)


def _mix(x: Tensor) -> Tensor:
    """Every bit of an int32 reaches every bit of the result, in its own place; products wrap around."""
    for shift, factor in ((16, _FIRST), (15, _SECOND)):
        x.bitwise_xor_((x >> shift).bitwise_and_((1 << 32 - shift) - 1)).mul_(factor)
    return x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF))
