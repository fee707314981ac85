"""Parameters of a decoder, counted exactly from its shape, and the three ways in which papers count them.

Symbols: V pieces, H hidden, L layers, A query heads, G key-value heads, D head width, F feed-forward width, E experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tilth.laws.counting import Counting

Norm = Literal["rms", "layer", "plain"]
NORM_NUMBERS: Mapping[Norm, int] = {"rms": 1, "layer": 2, "plain": 0}
"""Trained numbers a channel: RMSNorm a weight, LayerNorm a weight and a bias, OLMo's LayerNorm none."""


@dataclass(frozen=True)
class Shape:
    """A decoder's shape; what is left out is as in Llama: RMSNorm, SwiGLU, rotary positions, no biases, dense."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tied: bool = False
    qk_norm: bool | Literal["width"] = False
    """A norm of each query and key head (Qwen3), or of all of them side by side (`width`: OLMo 2)."""
    qkv_bias: bool = False
    output_bias: bool = False
    """Of attention's output projection."""
    mlp_bias: bool = False
    head_bias: bool = False
    gated: bool = True
    """Three feed-forward matrices (SwiGLU, GeGLU), else two."""
    norm: Norm = "rms"
    norm_bias: bool = True
    """Of LayerNorm; MPT's has none."""
    layer_norms: int = 2
    """Norms of a layer: 1 where attention and feed-forward share one (GPT-J), 4 in Gemma 2."""
    final_norm: bool = True
    embedding_norm: bool = False
    """BLOOM's norm behind the embedding."""
    positions: int = 0
    """Rows of a learned position embedding; 0: rotary or ALiBi."""
    embedding_width: int | None = None
    """Where the embedding is narrower than H, with a projection in and out (OPT-350M)."""
    experts: int = 0
    """E; 0: dense."""
    active_experts: int = 0
    expert_intermediate: int = 0
    """F of one expert."""
    shared_intermediate: int = 0
    """F of the expert that every token passes."""
    shared_gate: bool = False
    """A gate of H numbers before the shared expert (Qwen2-MoE)."""
    dense_layers: int = 0
    """Layers of a mixture of experts whose feed-forward is dense, F wide."""

    @property
    def embedding_dim(self) -> int:
        """Of a piece's vector: H, or what is projected to it."""
        return self.embedding_width or self.hidden

    @property
    def query_width(self) -> int:
        """A D."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """G D."""
        return self.kv_heads * self.head_dim


@dataclass(frozen=True)
class Parameters:
    """Trained numbers by what they are."""

    embedding: int
    """Tokens' and positions'; a tied matrix stands here."""
    attention: int
    """Matrices and biases of all layers."""
    feed_forward: int
    """Of all layers: every expert, and routers."""
    norms: int
    head: int
    """0 where tied (but for a bias)."""

    @property
    def total(self) -> int:
        """Every trained number."""
        return self.embedding + self.attention + self.feed_forward + self.norms + self.head


def parameter_parts(shape: Shape) -> Parameters:
    """Every trained number, by part."""
    pieces = shape.vocabulary * shape.embedding_dim
    head = 0 if shape.tied else pieces
    return Parameters(
        embedding=pieces + _projections(shape) + shape.positions * shape.hidden,
        attention=shape.layers * (_attention_matrices(shape) + _attention_biases(shape)),
        feed_forward=_feed_forward(shape, shape.experts),
        norms=_norms(shape),
        head=head + (shape.vocabulary if shape.head_bias else 0),
    )


def parameters(shape: Shape, counting: Counting = Counting.ALL) -> int:
    """N, a tied matrix counted once. Of Llama with G = A and D = H / A all are 2VH + (2L + 1)H + 4LH² + 3LHF."""
    parts = parameter_parts(shape)
    if counting == Counting.ALL:
        return parts.total
    inner = parts.attention + parts.feed_forward + parts.norms
    return inner if counting == Counting.WITHOUT_EMBEDDINGS else inner + _head_matrices(shape)


def active_parameters(shape: Shape) -> int:
    """What one token meets: of E experts the active ones alone."""
    return parameters(shape) - _feed_forward(shape, shape.experts) + _feed_forward(shape, shape.active_experts)


def matmul_parameters(shape: Shape, *, head: bool = True) -> int:
    """Parameters that multiply every token: the layers' matrices (active experts, routers) and the head's.

    A narrow embedding's two projections are counted with the head.
    """
    layers = shape.layers * _attention_matrices(shape) + _feed_forward(shape, shape.active_experts, biases=False)
    return layers + (_head_matrices(shape) if head else 0)


def _head_matrices(shape: Shape) -> int:
    """V H; where the embedding is W wide, V W and the projections in and out, which multiply every token as well."""
    return shape.vocabulary * shape.embedding_dim + _projections(shape)


def _projections(shape: Shape) -> int:
    return 2 * shape.embedding_width * shape.hidden if shape.embedding_width else 0


def _attention_matrices(shape: Shape) -> int:
    """2 H (A + G) D a layer."""
    return 2 * shape.hidden * (shape.query_width + shape.kv_width)


def _attention_biases(shape: Shape) -> int:
    queries, keys = shape.query_width, shape.kv_width
    return (queries + 2 * keys if shape.qkv_bias else 0) + (shape.hidden if shape.output_bias else 0)


def _feed_forward(shape: Shape, experts: int, *, biases: bool = True) -> int:
    """All layers' feed-forward with `experts` of the E counted."""
    hidden = shape.hidden
    dense = _mlp(shape, shape.intermediate, biases)
    if not shape.experts:
        return shape.layers * dense
    sparse = experts * _mlp(shape, shape.expert_intermediate, biases) + hidden * shape.experts
    if shape.shared_intermediate:
        sparse += _mlp(shape, shape.shared_intermediate, biases) + (hidden if shape.shared_gate else 0)
    return shape.dense_layers * dense + (shape.layers - shape.dense_layers) * sparse


def _mlp(shape: Shape, width: int, biases: bool) -> int:
    """Two or three H x F matrices, and their biases."""
    into = 2 if shape.gated else 1
    bias = into * width + shape.hidden if shape.mlp_bias and biases else 0
    return (into + 1) * shape.hidden * width + bias


def _norms(shape: Shape) -> int:
    numbers = 1 if shape.norm == "layer" and not shape.norm_bias else NORM_NUMBERS[shape.norm]
    wide = shape.layers * shape.layer_norms + shape.final_norm + shape.embedding_norm
    heads = 0
    if shape.qk_norm == "width":
        heads = shape.query_width + shape.kv_width
    elif shape.qk_norm:
        heads = 2 * shape.head_dim
    return numbers * (wide * shape.hidden + shape.layers * heads)
