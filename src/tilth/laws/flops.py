"""Floating-point operations of training and serving, in every convention that papers report.

A product of an m x k with a k x n matrix is 2mkn operations; the backward pass costs twice the forward one.
T is the length of a sequence, or of a document where attention stays inside documents.
"""

from __future__ import annotations

from typing import Literal

from tilth.laws.model_size import Shape, matmul_parameters

Convention = Literal["causal", "full"]
"""Attention's part: `causal` counts what a causal kernel computes, `full` the whole square (PaLM)."""

Recompute = Literal["none", "selective", "full"]
"""What the backward pass computes again: nothing, attention's core (Korthikanti et al. 2022), every layer."""

ATTENTION = {"causal": 6, "full": 12}
"""Of a token and layer, forward and backward, times the heads' width A D and T."""


def six_n_d(count: float, tokens: float) -> float:
    """C = 6 N D (Kaplan et al. 2020, section 2.1): attention and its length left out; N as the law counts it."""
    return 6.0 * count * tokens


def forward_flops_per_token(shape: Shape, length: float, convention: Convention = "causal") -> float:
    """2 x matmul parameters with head + attention: of scores and sum, 2 L d T each, half of it when causal."""
    return training_flops_per_token(shape, length, convention) / 3


def training_flops_per_token(shape: Shape, length: float, convention: Convention = "causal") -> float:
    """6 x matmul parameters with head + 6 L d T (causal), or 12 L d T (Chowdhery et al. 2022, appendix B).

    d is the heads' width A D. These are a model's operations, the numerator of MFU: recomputation is not counted.
    """
    return 6.0 * matmul_parameters(shape) + ATTENTION[convention] * shape.layers * shape.query_width * length


def recomputed_flops_per_token(
    shape: Shape, length: float, recompute: Recompute, convention: Convention = "causal"
) -> float:
    """What recomputation adds: attention's core once more, or every layer's forward pass (the head's is not)."""
    attention = ATTENTION[convention] / 3 * shape.layers * shape.query_width * length
    if recompute == "none":
        return 0.0
    return attention + (2.0 * matmul_parameters(shape, head=False) if recompute == "full" else 0.0)


def hardware_flops_per_token(
    shape: Shape, length: float, recompute: Recompute = "none", convention: Convention = "causal"
) -> float:
    """All that is computed: the numerator of HFU (hardware FLOPs utilisation)."""
    return training_flops_per_token(shape, length, convention) + recomputed_flops_per_token(
        shape, length, recompute, convention
    )


def utilisation(flops_per_token: float, tokens_per_second: float, peak: float) -> float:
    """MFU, or HFU if recomputation is among the operations: the share of `peak` (FLOP/s of all devices)."""
    return flops_per_token * tokens_per_second / peak


def attention_traffic(length: float, width: float, fast_memory: float) -> tuple[float, float]:
    """Numbers that a head's attention moves: (stored scores, O(N d + N²); tiled, O(N² d² / M)), in their order.

    Dao et al. 2022 (FlashAttention), theorem 2; M is the fast memory in numbers, d <= M <= N d. At N = length.
    """
    return length * width + length**2, length**2 * width**2 / fast_memory
