"""Parameters, FLOPs and memory of a Llama-layout decoder, as pure arithmetic over its shape."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """V pieces, H hidden, L layers, query and key-value heads of width `head_dim`, F feed-forward."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tied: bool = False
    qk_norm: bool = False
    qkv_bias: bool = False


def parameters(shape: Shape) -> int:
    """Every trained number. For heads = kv_heads and head_dim = H / heads this is 2VH + (2L + 1)H + 4LH^2 + 3LHF."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = shape.hidden * (2 * queries + 2 * keys)
    attention += (queries + 2 * keys if shape.qkv_bias else 0) + (2 * shape.head_dim if shape.qk_norm else 0)
    layer = attention + 3 * shape.hidden * shape.intermediate + 2 * shape.hidden
    embeddings = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    return embeddings + shape.layers * layer + shape.hidden


def matmul_parameters(shape: Shape) -> int:
    """Parameters that multiply every token: the layers' matrices and the head, not the embedding look-up."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    layer = shape.hidden * (2 * queries + 2 * keys) + 3 * shape.hidden * shape.intermediate
    return shape.layers * layer + shape.vocabulary * shape.hidden


def training_flops_per_token(shape: Shape, length: int) -> float:
    """6 x matmul parameters + causal attention 6 L d T; forward and backward, recomputation not counted.

    `length` is T, the tokens that a query may see at the end of a sequence (its document's length when packed).
    """
    return 6.0 * matmul_parameters(shape) + 6.0 * shape.layers * shape.heads * shape.head_dim * length


@dataclass(frozen=True)
class Memory:
    """Bytes that training holds at its peak, by what holds them."""

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    process: float

    @property
    def total(self) -> float:
        """Bytes in all."""
        return sum(vars(self).values())


PROCESS_BYTES = 450e6
"""Interpreter, torch and the compiler's libraries, before the first tensor (measured 2026-11: 380 to 520 MB)."""


def training_memory(
    shape: Shape, tokens: int, *, optimizer_bytes: float = 8.0, half: bool = True, logits_tokens: int = 1024
) -> Memory:
    """Memory of one process that trains on micro-batches of `tokens` tokens, fp32 parameters and gradients.

    `optimizer_bytes` a parameter: 8 for AdamW, 4 for Muon. Activations a token and layer, RMSNorm, SwiGLU and fused
    attention, nothing recomputed: the residual stream twice in fp32, both normed inputs, queries, keys and values
    before and after rotation, attention's output, and gate, up and product of the feed-forward. `half`: bf16
    activations, and a bf16 copy of the weights. The loss head works on `logits_tokens` at a time.
    """
    count = parameters(shape)
    size = 2 if half else 4
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    per_token = 8 * shape.hidden + size * (2 * shape.hidden + 2 * (queries + keys) + keys + queries)
    per_token += size * 3 * shape.intermediate
    return Memory(
        parameters=count * (4.0 + (2 if half else 0)),
        gradients=count * 4.0,
        optimizer=count * optimizer_bytes,
        activations=float(shape.layers * tokens * per_token + 4 * tokens * shape.hidden),
        logits=float(min(tokens, logits_tokens) * shape.vocabulary * (4 + 4 + size)),
        process=PROCESS_BYTES,
    )
