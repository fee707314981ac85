"""Floating-point operations of training, in every convention that papers report.

A product of an m x k with a k x n matrix is 2mkn operations; the backward pass costs twice the forward one.
T is the length of a sequence, or of a document where attention stays inside documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from tilth.laws.model_size import Shape, matmul_parameters

if TYPE_CHECKING:  # the recipe's settings read this file: they start without NumPy
    import numpy as np
    from numpy.typing import NDArray

Convention = Literal["causal", "full"]
"""Attention's part: `causal` counts what a causal kernel computes, `full` the whole square (PaLM)."""

Recompute = Literal["none", "selective", "full"]
"""What the backward pass computes again: nothing; what is large and cheap to compute; every layer.

`selective` is attention's core in models that store its scores, as the papers' do (Korthikanti et al. 2022, section 5).
Flash attention stores none. A gated model with it drops the feed-forward's product instead: a pass over what was kept
and no matrix product.
"""

ATTENTION = {"causal": 6, "full": 12}
"""Of a token and layer, forward and backward, times the heads' width A D and T."""


Sizes = TypeVar("Sizes", float, "NDArray[np.float64]")


def training_flops(parameters: Sizes, tokens: Sizes) -> Sizes:
    """C = 6 N D: a token's forward and backward pass, as scaling laws count (Kaplan et al. 2020, section 2.1)."""
    return 6.0 * parameters * tokens


def serving_flops(parameters: Sizes, tokens: float) -> Sizes:
    """2 N a token that is read or written: a forward pass alone (same section)."""
    return 2.0 * parameters * tokens


def tokens_for(flops: float, parameters: Sizes) -> Sizes:
    """D = C / 6 N."""
    return flops / 6.0 / parameters


def training_flops_per_token(shape: Shape, length: float, convention: Convention = "causal") -> float:
    """6 x matmul parameters with head + 6 L d T (causal), or 12 L d T (Chowdhery et al. 2022, appendix B).

    d is the heads' width A D. These are a model's operations, the numerator of MFU: recomputation is not counted.
    """
    return 6.0 * matmul_parameters(shape) + ATTENTION[convention] * shape.layers * shape.query_width * length


def recomputed_flops_per_token(
    shape: Shape, length: float, recompute: Recompute, convention: Convention = "causal"
) -> float:
    """What recomputation adds in matrix products: every layer's forward pass (the head's is not), or what `selective`
    drops: attention's core, of a gated model none."""
    attention = ATTENTION[convention] / 3 * shape.layers * shape.query_width * length
    if recompute == "full":
        return attention + 2.0 * matmul_parameters(shape, head=False)
    return attention if recompute == "selective" and not shape.gated else 0.0


def hardware_flops_per_token(
    shape: Shape, length: float, recompute: Recompute = "none", convention: Convention = "causal"
) -> float:
    """All that is computed: the numerator of HFU (hardware FLOPs utilisation)."""
    return training_flops_per_token(shape, length, convention) + recomputed_flops_per_token(
        shape, length, recompute, convention
    )
