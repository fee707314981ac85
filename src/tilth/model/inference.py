"""A decoder as generation wants it: fused weights, keys and values kept, no autograd.

Shapes: N packed tokens, B rows (sequences in the batch), S cache slots, H hidden, A query heads, G key and value heads,
D head width, F width of the feed-forward, V vocabulary.
Products are grouped, and the norms' weights multiplied into the projections behind them: results agree with `Decoder`
to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from tilth.model.adapters.low_rank import LowRankLinear
from tilth.model.attention import Boundaries, attend
from tilth.model.config import DecoderConfig
from tilth.model.decoder import Block, Decoder, Linear, RMSNorm, rotary_frequencies

Attention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, q N×A×D, k N×G×D, v N×G×D) to the attention output N×A×D."""


class Layer(NamedTuple):
    """One block's weights, input × output; those that read the residual stream are fused, behind their norm."""

    qkv: Tensor
    """H × (A + 2G)·D"""
    bias: Tensor | None
    qk_norm: Tensor | None
    """(A + G) × D: the norms of query and key heads, · √D"""
    output: Tensor
    """A·D × H"""
    gate_up: Tensor
    """H × 2F"""
    down: Tensor
    """F × H"""


class InferenceDecoder:
    """A copy of a decoder's weights in the dtype `dtype` (default: that of its products), on the decoder's device.

    Later changes of the decoder do not reach the copy; `load` takes them over.
    """

    def __init__(self, model: Decoder, dtype: torch.dtype | None = None) -> None:
        self.config = model.config
        self.dtype = dtype or model.compute_dtype or model.embedding.weight.dtype
        self.device = model.embedding.weight.device
        self.load(model)
        exact = torch.promote_types(self.dtype, torch.float32)  # norms are computed in fp32 at least
        self._floor, self._head_floor = (
            torch.tensor(math.sqrt(width * self.config.norm_eps), dtype=exact)
            for width in (self.config.hidden, self.config.head_dim)
        )
        self._prepare_positions(min(self.config.max_positions, 1024))

    @torch.no_grad()
    def load(self, model: Decoder) -> None:
        """Take over the weights of `model`, which has the same configuration."""
        dtype = self.dtype
        self.embedding = model.embedding.weight.detach().to(dtype, copy=True)
        self.head = (self.embedding if model.head is None else model.head.weight.detach().to(dtype, copy=True)).T
        self.norm = _norm_weight(model.norm.weight, dtype)
        self.layers = [_fuse(cast(Block, block), self.config, dtype) for block in model.blocks]

    def _prepare_positions(self, count: int) -> None:
        """Rotary tables for positions below `count`; the sine of the first half is negative, as its partner's sign."""
        positions_P = torch.arange(count, device=self.device).float()
        angle_PK = torch.outer(positions_P, rotary_frequencies(self.config, self.device))
        cos_PK, sin_PK = angle_PK.cos(), angle_PK.sin()
        self.cos_P1D = torch.cat([cos_PK, cos_PK], -1)[:, None].to(self.dtype)
        self.sin_P1D = torch.cat([-sin_PK, sin_PK], -1)[:, None].to(self.dtype)

    def forward(self, tokens_N: Tensor, positions_N: Tensor, longest: int, attention: Attention) -> Tensor:
        """The residual stream N×H behind the last layer. `longest`: a bound of the positions."""
        if longest > len(self.cos_P1D):
            self._prepare_positions(max(longest, min(2 * len(self.cos_P1D), self.config.max_positions)))
        config, floor = self.config, self._floor
        heads, both = config.heads, config.heads + config.kv_heads
        cos_N1D, sin_N1D = self.cos_P1D.index_select(0, positions_N), self.sin_P1D.index_select(0, positions_N)
        x_NH = F.embedding(tokens_N, self.embedding)
        for index, layer in enumerate(self.layers):
            normed_NH = _unit(x_NH, floor)
            qkv = (
                torch.mm(normed_NH, layer.qkv) if layer.bias is None else torch.addmm(layer.bias, normed_NH, layer.qkv)
            )
            qkv_NMD = qkv.view(len(qkv), -1, config.head_dim)
            qk, v = qkv_NMD[:, :both], qkv_NMD[:, both:]
            if layer.qk_norm is not None:
                qk = _unit(qk, self._head_floor) * layer.qk_norm
            qk = torch.addcmul(qk * cos_N1D, qk.roll(config.head_dim // 2, -1), sin_N1D)
            out = attention(index, qk[:, :heads], qk[:, heads:], v)
            x_NH = torch.addmm(x_NH, out.reshape(len(x_NH), -1), layer.output)
            gate, up = torch.mm(_unit(x_NH, floor), layer.gate_up).chunk(2, -1)
            x_NH = torch.addmm(x_NH, F.silu(gate).mul_(up), layer.down)
        return x_NH

    def logits(self, x_NH: Tensor) -> Tensor:
        """N×V of rows of the residual stream behind the last layer."""
        return torch.mm(_unit(x_NH, self._floor) * self.norm, self.head)


def _fuse(block: Block, config: DecoderConfig, dtype: torch.dtype) -> Layer:
    attention, feed_forward = block.attention, block.feed_forward
    projections = (attention.query, attention.key, attention.value)
    qk_norm = None
    if attention.query_norm is not None and attention.key_norm is not None:
        query, key = attention.query_norm.weight, attention.key_norm.weight
        heads = torch.cat([query.expand(config.heads, -1), key.expand(config.kv_heads, -1)])
        qk_norm = _norm_weight(heads, dtype)
    return Layer(
        qkv=_behind_norm(block.attention_norm, [_matrix(p) for p in projections], dtype),
        bias=torch.cat([p.bias for p in projections]).to(dtype) if config.qkv_bias else None,
        qk_norm=qk_norm,
        output=_matrix(attention.output).to(dtype).T.contiguous(),
        gate_up=_behind_norm(block.feed_forward_norm, [_matrix(feed_forward.gate), _matrix(feed_forward.up)], dtype),
        down=_matrix(feed_forward.down).to(dtype).T.contiguous(),
    )


def _matrix(projection: Linear) -> Tensor:
    """What it multiplies with, an adapter's product included."""
    if not isinstance(projection, LowRankLinear) or projection.merged:
        return projection.weight
    exact = torch.promote_types(projection.weight.dtype, torch.float32)
    change = projection.lora_B.to(exact) @ projection.lora_A.to(exact)
    return projection.weight.to(exact) + projection.scale * change


def _behind_norm(norm: RMSNorm, weights: list[Tensor], dtype: torch.dtype) -> Tensor:
    """The projections as one, for what `_unit` makes of the norm's input; in memory output × input, as they came."""
    exact = torch.promote_types(dtype, torch.float32)
    return (torch.cat(weights).to(exact) * _norm_weight(norm.weight, exact)).to(dtype).T


def _norm_weight(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """RMSNorm's weight for what `_unit` makes of its input: · √width."""
    exact = torch.promote_types(dtype, torch.float32)
    return (weight.detach().to(exact) * math.sqrt(weight.shape[-1])).to(dtype)


def _unit(x: Tensor, floor: Tensor) -> Tensor:
    """x / √(Σx² + floor²) over the last dimension: RMSNorm over √width, without its weight."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=floor.dtype)
    return (x / torch.hypot(length, floor)).to(x.dtype)


class KeyValueCache:
    """Keys and values of every layer, [rows, G, S, D]; row r has used the slots below `lengths[r]`. Grows as needed."""

    def __init__(self, config: DecoderConfig, dtype: torch.dtype, device: torch.device) -> None:
        self.config = config
        self.lengths: list[int] = []
        self.store = torch.zeros(config.layers, 2, 0, config.kv_heads, 0, config.head_dim, dtype=dtype, device=device)

    def reserve(self, rows: int, slots: int, limit: int) -> None:
        """Room for `rows` rows of `slots` slots: doubled where it must grow, the slots up to `limit`."""
        layers, two, have_rows, heads, have_slots, width = self.store.shape
        if rows <= have_rows and slots <= have_slots:
            return
        rows = have_rows if rows <= have_rows else max(rows, 2 * have_rows)
        slots = have_slots if slots <= have_slots else max(slots, min(limit, max(64, 2 * have_slots)))
        grown = self.store.new_zeros(layers, two, rows, heads, slots, width)
        grown[:, :, :have_rows, :, :have_slots] = self.store
        self.store = grown
        self._flat = grown.view(2 * layers, -1, width).unbind(0)

    def fill(self, lengths: Sequence[int]) -> tuple[Tensor, Attention]:
        """New rows for prompts of these lengths: their packed tokens' positions, and attention inside each prompt."""
        device, first = self.store.device, len(self.lengths)
        lengths_R = torch.tensor(lengths, device=device)
        offsets = F.pad(lengths_R.cumsum(0), (1, 0))
        positions_N = torch.arange(sum(lengths), device=device) - offsets[:-1].repeat_interleave(lengths_R)
        rows_N = torch.arange(first, first + len(lengths), device=device).repeat_interleave(lengths_R)
        boundaries = Boundaries(offsets.to(torch.int32), 1)
        self.lengths += lengths

        def attention(layer: int, q_NAD: Tensor, k_NGD: Tensor, v_NGD: Tensor) -> Tensor:
            keys, values = self.store[layer]
            keys[rows_N, :, positions_N] = k_NGD
            values[rows_N, :, positions_N] = v_NGD
            return attend(q_NAD, k_NGD, v_NGD, boundaries)

        return positions_N, attention

    def spread(self, copies: Sequence[int]) -> None:
        """The last `len(copies)` rows become so many copies of each, in their order."""
        first = len(self.lengths) - len(copies)
        lengths = self.lengths[first:]
        sources = [first + row for row, count in enumerate(copies) for _ in range(count)]
        used = max(lengths)
        self.lengths[first:] = [length for length, count in zip(lengths, copies, strict=True) for _ in range(count)]
        self.store[:, :, first : len(self.lengths), :, :used] = self.store[:, :, sources, :, :used]

    def extend(self) -> tuple[Tensor, Attention]:
        """One more token for every row: their positions, and attention of each to its own row."""
        config, device, rows = self.config, self.store.device, len(self.lengths)
        heads, slots, used = config.kv_heads, self.store.shape[4], max(self.lengths) + 1
        positions_B = torch.tensor(self.lengths, device=device)
        first_slots = torch.arange(0, rows * heads * slots, slots, device=device)
        places = first_slots + positions_B.repeat_interleave(heads)  # in [rows · G · S, D]
        mask = None
        if min(self.lengths) < used - 1:
            seen_BS = torch.arange(used, device=device) <= positions_B[:, None]
            mask = torch.zeros((), dtype=self.store.dtype, device=device).where(seen_BS, -torch.inf)[:, None, None]
        near = self.store[:, :, :rows, :, :used].flatten(0, 1).unbind(0)
        self.lengths = [length + 1 for length in self.lengths]

        def attention(layer: int, q_BAD: Tensor, k_BGD: Tensor, v_BGD: Tensor) -> Tensor:
            keys, values = 2 * layer, 2 * layer + 1
            self._flat[keys].index_copy_(0, places, k_BGD.reshape(-1, config.head_dim))
            self._flat[values].index_copy_(0, places, v_BGD.reshape(-1, config.head_dim))
            # the A / G queries that read one key head stand as so many tokens of that head: nothing is repeated
            q = q_BAD.view(rows, heads, -1, config.head_dim)
            return F.scaled_dot_product_attention(q, near[keys], near[values], attn_mask=mask)

        return positions_B, attention

    def drop(self, row: int) -> None:
        """Forget a row; the last one takes its place."""
        last = len(self.lengths) - 1
        if row != last:
            used = self.lengths[last]
            self.store[:, :, row, :, :used] = self.store[:, :, last, :, :used]
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()
