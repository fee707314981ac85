"""The decoder: RMSNorm, rotary positions, grouped-query attention, SwiGLU, over flattened packed tokens.

Shapes: N packed tokens, H hidden, A query heads, G key and value heads, D head width, V vocabulary.
Parameters are kept in fp32 (fp64 in tests); products run in `compute_dtype`, in which the residual stream is too.
Sources: Touvron et al. 2023 (Llama), Ainslie et al. 2023 (GQA), Su et al. 2021 (RoPE),
Yang et al. 2025 (Qwen3, QK-norm).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tilth.laws.flops import Recompute
from tilth.model import float8
from tilth.model.attention import Boundaries, attend
from tilth.model.config import Activation, DecoderConfig
from tilth.model.draws import Dropout, drop, embedding_noise, site_keys, token_keys
from tilth.model.initial import initial_std, initial_value
from tilth.model.recompute import run_layer

_NOISE, _EMBEDDING = -1, 0
"""Where something is drawn in the model; its layers count from 1."""
_ATTENTION, _FEED_FORWARD = 1, 2
"""And in each layer, where the projections' adapters come behind."""


class Linear(nn.Linear):
    """A projection whose weight is cast to the dtype of what it is applied to.

    Of `keys_N`, by which a projection with an adapter drops, it makes no use.
    """

    casts_again = False
    """Whether the backward pass casts the weight once more, instead of keeping the copy that the forward pass made.
    The compiler decides by itself, and keeps it."""
    in_float8 = False
    """Whether the product, in either pass, is one of 8-bit floats."""

    def forward(self, input: Tensor, keys_N: Tensor | None = None) -> Tensor:
        bias = None if self.bias is None else self.bias.to(input.dtype)
        if self.in_float8:
            multiply = float8.product
        elif self.casts_again and self.weight.dtype != input.dtype and not torch.compiler.is_compiling():
            multiply = _CastAgain.apply
        else:
            return F.linear(input, self.weight.to(input.dtype), bias)
        output: Tensor = multiply(input, self.weight)
        return output if bias is None else output + bias


class _CastAgain(torch.autograd.Function):
    """x Wᵀ, keeping x and W itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x = grad @ weight.to(grad.dtype) if ctx.needs_input_grad[0] else None
        grad_weight = (grad.T @ x).to(weight.dtype) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight, computed in fp32 at least (Zhang and Sennrich, 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        exact = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        exact = exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + self.eps)
        return (exact * self.weight).to(x.dtype)


def rotary_frequencies(config: DecoderConfig, device: torch.device | None = None) -> Tensor:
    """fp32[D / 2]: θ^(-2i / D), stretched where the configuration says so."""
    exponent = torch.arange(0, config.head_dim, 2, dtype=torch.int64, device=device).float() / config.head_dim
    frequency = 1.0 / (config.rope_theta**exponent)
    scaling = config.rope_scaling
    if scaling is None:
        return frequency
    wavelength = 2 * math.pi / frequency
    low = scaling.original_positions / scaling.low_frequency_factor
    high = scaling.original_positions / scaling.high_frequency_factor
    stretched = frequency / scaling.factor
    smooth = (scaling.original_positions / wavelength - scaling.low_frequency_factor) / (
        scaling.high_frequency_factor - scaling.low_frequency_factor
    )
    between = (1 - smooth) * stretched + smooth * frequency
    return torch.where(wavelength > low, stretched, torch.where(wavelength < high, frequency, between))


def rotate(x_NHD: Tensor, cos_N1D: Tensor, sin_N1D: Tensor) -> Tensor:
    """Rotary positions in the half-split layout of the Hugging Face checkpoints."""
    first, second = x_NHD.chunk(2, -1)
    return x_NHD * cos_N1D + torch.cat([-second, first], -1) * sin_N1D


class Attention(nn.Module):
    """Grouped-query attention with rotary positions, and RMSNorm of queries and keys where configured."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.query = Linear(config.hidden, width, bias=config.qkv_bias)
        self.key = Linear(config.hidden, kv_width, bias=config.qkv_bias)
        self.value = Linear(config.hidden, kv_width, bias=config.qkv_bias)
        self.output = Linear(width, config.hidden, bias=False)
        self.query_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.key_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None

    def forward(
        self, x_NH: Tensor, rotary: tuple[Tensor, Tensor], boundaries: Boundaries, keys_N: Tensor | None = None
    ) -> Tensor:
        q, k, v = (
            project(x_NH, keys_N).view(x_NH.shape[0], -1, self.head_dim)
            for project in (self.query, self.key, self.value)
        )
        if self.query_norm is not None and self.key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        q, k = rotate(q, *rotary), rotate(k, *rotary)
        return self.output(attend(q, k, v, boundaries).flatten(1), keys_N)


def _squared_relu(x: Tensor) -> Tensor:
    """So et al. 2021 (Primer)."""
    return F.relu(x).square()


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "relu2": _squared_relu,
}


class FeedForward(nn.Module):
    """A gated feed-forward, SwiGLU by default: down(silu(gate x) · up x) (Shazeer, 2020)."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate = Linear(config.hidden, config.intermediate, bias=False)
        self.up = Linear(config.hidden, config.intermediate, bias=False)
        self.down = Linear(config.intermediate, config.hidden, bias=False)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x_NH: Tensor, keys_N: Tensor | None = None) -> Tensor:
        return self.down(self.activation(self.gate(x_NH, keys_N)) * self.up(x_NH, keys_N), keys_N)


def stream_norm(config: DecoderConfig) -> nn.Module:
    """The norm of the residual stream, or none."""
    return RMSNorm(config.hidden, config.norm_eps) if config.norm == "rms" else nn.Identity()


class Block(nn.Module):
    """One layer: attention and feed-forward, each behind a norm and added to the residual stream."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.attention_norm = stream_norm(config)
        self.attention = Attention(config)
        self.feed_forward_norm = stream_norm(config)
        self.feed_forward = FeedForward(config)

    def forward(
        self,
        x_NH: Tensor,
        rotary: tuple[Tensor, Tensor],
        boundaries: Boundaries,
        dropout: float = 0.0,
        keys_N: Tensor | None = None,
    ) -> Tensor:
        """`dropout` of what is added, by these tokens' keys of this layer: given where anything in it is dropped."""
        added_NH = self.attention(self.attention_norm(x_NH), rotary, boundaries, keys_N)
        x_NH = x_NH + _dropped(added_NH, keys_N, _ATTENTION, dropout)
        added_NH = self.feed_forward(self.feed_forward_norm(x_NH), keys_N)
        return x_NH + _dropped(added_NH, keys_N, _FEED_FORWARD, dropout)


def _dropped(x_NH: Tensor, keys_N: Tensor | None, site: int, rate: float) -> Tensor:
    return drop(x_NH, site_keys(keys_N, site), rate) if keys_N is not None and rate else x_NH


class Decoder(nn.Module):
    """A Llama-layout decoder without its loss: the head is a weight, so that logits can be made in chunks."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype: torch.dtype | None = None
        """Dtype of products and of the residual stream; None: that of the parameters."""
        self.recompute: Recompute = "none"
        """What of each layer is computed again in the backward pass instead of kept."""
        self.loss_scale = 1.0
        """Factor of the loss in its backward pass, which objectives that make gradients earlier must know."""
        self.embedding_noise = 0.0
        """NEFTune's alpha; acts in training alone."""
        self.dropout = Dropout()
        """Acts in training alone."""
        self.sequence_keys: Tensor | None = None
        """int32[rows], the keys of the sequences of the next forward pass, by which it draws what it draws."""
        self.around: Callable[[int, Callable[[], Tensor]], Tensor] | None = None
        """Called with the number of each part and its forward pass, where parameters are not here throughout: 0 is the
        embedding, then come the blocks, then the last norm, behind which the head's weight is used."""
        self.embedding = nn.Embedding(config.vocabulary_size, config.hidden)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = stream_norm(config)
        self.head = None if config.tie_embeddings else Linear(config.hidden, config.vocabulary_size, bias=False)

    @property
    def head_weight(self) -> Tensor:
        """V×H, the embedding matrix where tied."""
        return self.embedding.weight if self.head is None else self.head.weight

    def forward(self, tokens_N: Tensor, positions_N: Tensor, boundaries: Boundaries) -> Tensor:
        """Hidden states N×H after the last norm, of packed tokens (any integer dtype) at their positions."""
        around = self.around or _plainly
        x_NH = around(0, partial(self.embedding, tokens_N))
        keys_N = self._token_keys(len(x_NH))
        if keys_N is not None and self.embedding_noise:
            x_NH = x_NH + embedding_noise(x_NH, site_keys(keys_N, _NOISE), boundaries, self.embedding_noise)
        x_NH = x_NH if self.compute_dtype is None else x_NH.to(self.compute_dtype)
        x_NH = _dropped(x_NH, keys_N, _EMBEDDING, self.dropout.embedding)
        rotary = self.rotary(positions_N, x_NH.dtype)
        for number, block in enumerate(self.blocks, 1):
            inputs: tuple[Any, ...] = (x_NH, rotary, boundaries)
            if keys_N is not None and (self.dropout.residual or self.dropout.adapter):
                inputs = (*inputs, self.dropout.residual, site_keys(keys_N, number))
            x_NH = around(number, partial(run_layer, block, self.recompute, *inputs))
        return around(len(self.blocks) + 1, partial(self.norm, x_NH))

    def use_float8(self) -> None:
        """From now on the projections of the layers multiply in 8-bit floats; embedding and head stay as they are."""
        for block in self.blocks:
            for part in block.modules():
                if isinstance(part, Linear):
                    part.in_float8 = True

    @property
    def draws(self) -> bool:
        """Whether a forward pass in training draws anything."""
        return any(self.dropout) or self.embedding_noise > 0

    def _token_keys(self, tokens: int) -> Tensor | None:
        """What decides what is drawn; None where nothing is."""
        if not self.training or not self.draws:
            return None
        if self.sequence_keys is None:
            raise ValueError("dropout and noise: sequence_keys are to be set before the forward pass")
        return token_keys(self.sequence_keys, tokens)

    def rotary(self, positions_N: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosine and sine N×1×D; the angles are fp32 as in the reference implementations."""
        angle_ND = torch.outer(positions_N.float(), rotary_frequencies(self.config, positions_N.device)).repeat(1, 2)
        return angle_ND.cos().to(dtype)[:, None], angle_ND.sin().to(dtype)[:, None]

    def logits(self, hidden_NH: Tensor) -> Tensor:
        """N×V, in the dtype of `hidden_NH`."""
        return F.linear(hidden_NH, self.head_weight.to(hidden_NH.dtype))

    def initialise(self, seed: int) -> None:
        """Weights as configured (model/initial.py), norms 1, biases 0.

        Every parameter draws from a generator keyed by (seed, its name): the same whatever order, device or sharding.
        """
        from tilth.base.keyed import stable_hash

        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                nn.init.constant_(parameter, initial_value(self.config, name))
                continue
            std = initial_std(self.config, name, *parameter.shape)
            generator = torch.Generator().manual_seed(stable_hash(seed, "initialise", name) >> 1)
            values = torch.randn(parameter.shape, generator=generator) * std
            with torch.no_grad():
                parameter.copy_(values)


def _plainly(_: int, act: Callable[[], Tensor]) -> Tensor:
    return act()


def build(config: DecoderConfig, seed: int | None = None, *, dtype: torch.dtype = torch.float32) -> Decoder:
    """A decoder on the CPU: initialised from `seed`, or with memory allocated and values left open."""
    with torch.device("meta"):
        model = Decoder(config).to(dtype)
    model.to_empty(device="cpu")
    if seed is not None:
        model.initialise(seed)
    return model
