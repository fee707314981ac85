"""A decoder as generation wants it: fused weights, keys and values kept, no autograd.

Shapes: N packed tokens, B rows (sequences in the batch), S cache slots, H hidden, A query heads, G key and value heads,
D head width, F width of the feed-forward, V vocabulary.
Products of the same input are one: results agree with `Decoder` to rounding. On a CPU in fp32 a token more for every
row is one call of a kernel (`kernels.decode`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tilth.model.adapters.low_rank import LowRankLinear
from tilth.model.attention import Boundaries, attend
from tilth.model.config import DecoderConfig
from tilth.model.decoder import ACTIVATIONS, Block, Decoder, Linear, RMSNorm, rotary_frequencies
from tilth.model.products import Product

if TYPE_CHECKING:
    from tilth.model.kernels.decode import DecodeStep

_LEAST = 64
"""Slots that a cache has at least."""

Attention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, q N×A×D, k N×G×D, v N×G×D) to the attention output N×A×D."""


class Layer(NamedTuple):
    """One block's weights; those that read the same are fused."""

    attention_norm: Tensor | None
    """H: its weight · √H; None where there is none"""
    qkv: Product
    """H to (A + 2G)·D"""
    qk_norm: Tensor | None
    """(A + G) × D: the norms of query and key heads, · √D"""
    output: Product
    """A·D to H"""
    feed_forward_norm: Tensor | None
    """the same"""
    gate_up: Product
    """H to 2F"""
    down: Product
    """F to H"""


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
        self.cos_PD = self.sin_PD = torch.empty(0, self.config.head_dim)

    @torch.no_grad()
    def load(self, model: Decoder) -> None:
        """Take over the weights of `model`, which has the same configuration."""
        kept = self._kept_dtype(model)
        self.embedding = model.embedding.weight.detach().to(kept, copy=True)
        head = self.embedding if model.head is None else model.head.weight.detach().to(kept, copy=True)
        self.head = Product(head, dtype=self.dtype)
        self.norm = _norm_of(model.norm, self.dtype)
        self.layers = [_fuse(cast(Block, block), self.config, self.dtype, kept) for block in model.blocks]
        self._step = self._make_step()

    def _kept_dtype(self, model: Decoder) -> torch.dtype:
        """The dtype in which weights are kept: on a CPU bf16 does for products in fp32, if it holds every value."""
        if self.dtype != torch.float32 or self.device.type != "cpu":
            return self.dtype
        matrices = (parameter.detach() for parameter in model.parameters() if parameter.ndim == 2)
        held = all(torch.equal(x.to(torch.bfloat16).to(x.dtype), x) for x in matrices)
        return torch.bfloat16 if held else torch.float32

    def _prepare_positions(self, count: int) -> None:
        """Rotary tables for positions below `count`; the sine of the first half is negative, as its partner's sign."""
        if count <= len(self.cos_PD):
            return
        count = max(count, min(max(2 * len(self.cos_PD), 1024), self.config.max_positions))
        positions_P = torch.arange(count, device=self.device).float()
        angle_PK = torch.outer(positions_P, rotary_frequencies(self.config, self.device))
        cos_PK, sin_PK = angle_PK.cos(), angle_PK.sin()
        self.cos_PD = torch.cat([cos_PK, cos_PK], -1).to(self.dtype)
        self.sin_PD = torch.cat([-sin_PK, sin_PK], -1).to(self.dtype)

    def forward(
        self, tokens_N: Tensor, positions_N: Tensor, longest: int, attention: Attention, wanted: Tensor | None = None
    ) -> Tensor:
        """The residual stream N×H behind the last layer; with `wanted`, of the tokens at these places alone.

        `longest`: a bound of the positions.
        """
        self._prepare_positions(longest)
        x_NH = F.embedding(tokens_N, self.embedding).to(self.dtype)
        for index, layer in enumerate(self.layers):
            q, k, v = self._heads(layer, x_NH, (self.cos_PD, self.sin_PD), positions_N)
            mixed = attention(index, q, k, v).reshape(len(x_NH), -1)
            if wanted is not None and index == len(self.layers) - 1:
                x_NH, mixed = x_NH.index_select(0, wanted), mixed.index_select(0, wanted)
            x_NH = layer.output(mixed).add_(x_NH)
            x_NH = layer.down(self._gated(layer.gate_up(self._norm(x_NH, layer.feed_forward_norm)))).add_(x_NH)
        return x_NH

    def extend(self, tokens_B: Tensor, cache: KeyValueCache) -> Tensor:
        """The residual stream B×H behind the last layer, of one token more for every row of the cache."""
        longest = max(cache.lengths) + 1
        self._prepare_positions(longest)
        if self._step is None:
            positions_B, attention = cache.extend()
            return self.forward(tokens_B, positions_B, longest, attention)
        x_BH = F.embedding(tokens_B, self.embedding).to(self.dtype)
        self._step(x_BH, cache.lengths, self.cos_PD, self.sin_PD, cache.store)
        cache.lengths = [length + 1 for length in cache.lengths]
        return x_BH

    def _make_step(self) -> DecodeStep | None:
        """The kernel of `extend`, where it takes this model."""
        config, layers = self.config, self.layers
        widths = config.hidden, config.intermediate, (config.heads + 2 * config.kv_heads) * config.head_dim
        norms = [
            norm for layer in layers for norm in (layer.attention_norm, layer.feed_forward_norm) if norm is not None
        ]
        if (
            not norms
            or config.activation != "silu"
            or self.layers[0].qkv.panels is None
            or any(width % 16 for width in widths)
        ):
            return None
        from tilth.model.kernels.decode import DecodeStep

        products = [(layer.qkv, layer.output, layer.gate_up, layer.down) for layer in layers]
        qk_norms = [layer.qk_norm for layer in layers if layer.qk_norm is not None]
        biases = [layer.qkv.bias for layer in layers if layer.qkv.bias is not None]
        return DecodeStep(
            [[cast(Tensor, product.panels) for product in four] for four in products],
            torch.stack(norms).view(len(layers), 2, -1),
            torch.stack(qk_norms) if qk_norms else torch.empty(0, 0, 0),
            torch.stack(biases) if biases else torch.empty(0, 0),
            hidden=config.hidden,
            head_dim=config.head_dim,
            eps=config.norm_eps,
        )

    def _heads(
        self, layer: Layer, x_NH: Tensor, rotary: tuple[Tensor, Tensor], positions_N: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A layer's queries, keys and values, N × heads × D, the first two rotated."""
        width, heads, both = self.config.head_dim, self.config.heads, self.config.heads + self.config.kv_heads
        qkv_NW = layer.qkv(self._norm(x_NH, layer.attention_norm))
        qkv_NMD = qkv_NW.view(len(x_NH), -1, width)
        if self._step is None:
            qk = qkv_NMD[:, :both]
            if layer.qk_norm is not None:
                qk = _unit(qk, self._head_floor) * layer.qk_norm
            cos_N1D, sin_N1D = (table_PD.index_select(0, positions_N)[:, None] for table_PD in rotary)
            qk = qk.roll(width // 2, -1).mul_(sin_N1D).addcmul_(qk, cos_N1D)
        else:
            floor = width * self.config.norm_eps
            self._step.rows.turn_rows(qkv_NW, layer.qk_norm, floor, positions_N, rotary, both)
            qk = qkv_NMD
        return qk[:, :heads], qk[:, heads:both], qkv_NMD[:, both:]

    def _norm(self, x_NH: Tensor, weight_H: Tensor | None) -> Tensor:
        if weight_H is None:
            return x_NH
        if self._step is None:
            return _unit(x_NH, self._floor) * weight_H
        return self._step.rows.normalise_rows(x_NH, weight_H, self.config.hidden * self.config.norm_eps)

    def _gated(self, gate_up_N2F: Tensor) -> Tensor:
        if self._step is None:
            gate, up = gate_up_N2F.chunk(2, -1)
            return ACTIVATIONS[self.config.activation](gate).mul_(up)
        return self._step.rows.swiglu_rows(gate_up_N2F)

    def logits(self, x_NH: Tensor) -> Tensor:
        """N×V of rows of the residual stream behind the last layer."""
        return self.head(self._norm(x_NH, self.norm))


def _fuse(block: Block, config: DecoderConfig, dtype: torch.dtype, kept: torch.dtype) -> Layer:
    """A block's weights, as `kept`, for products in `dtype`."""
    attention, feed_forward = block.attention, block.feed_forward
    projections, gate_up = (attention.query, attention.key, attention.value), (feed_forward.gate, feed_forward.up)
    bias = torch.cat([p.bias for p in projections]).to(dtype) if config.qkv_bias else None
    qk_norm = None
    if attention.query_norm is not None and attention.key_norm is not None:
        query, key = attention.query_norm.weight, attention.key_norm.weight
        heads = torch.cat([query.expand(config.heads, -1), key.expand(config.kv_heads, -1)])
        qk_norm = _norm_weight(heads, dtype)

    def product(*sources: Linear, bias: Tensor | None = None) -> Product:
        return Product(torch.cat([_matrix(source).detach() for source in sources]).to(kept), bias, dtype=dtype)

    return Layer(
        attention_norm=_norm_of(block.attention_norm, dtype),
        qkv=product(*projections, bias=bias),
        qk_norm=qk_norm,
        output=product(attention.output),
        feed_forward_norm=_norm_of(block.feed_forward_norm, dtype),
        gate_up=product(*gate_up),
        down=product(feed_forward.down),
    )


def _matrix(projection: Linear) -> Tensor:
    """What it multiplies with, an adapter's product included."""
    if not isinstance(projection, LowRankLinear) or projection.merged:
        return projection.weight
    exact = torch.promote_types(projection.weight.dtype, torch.float32)
    change = projection.lora_B.to(exact) @ projection.lora_A.to(exact)
    return projection.weight.to(exact) + projection.scale * change


def _norm_of(norm: nn.Module, dtype: torch.dtype) -> Tensor | None:
    return _norm_weight(norm.weight, dtype) if isinstance(norm, RMSNorm) else None


def _norm_weight(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """RMSNorm's weight for what `_unit` makes of its input: · √width."""
    exact = torch.promote_types(dtype, torch.float32)
    return (weight.detach().to(exact) * math.sqrt(weight.shape[-1])).to(dtype)


def _unit(x: Tensor, floor: Tensor) -> Tensor:
    """x / √(Σx² + floor²) over the last dimension: RMSNorm over √width, without its weight."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=floor.dtype)
    return (x / torch.hypot(length, floor)).to(x.dtype)


class KeyValueCache:
    """Keys and values of every layer, [rows, G, S, D]; row r has used the slots below `lengths[r]`.

    It grows and shrinks with what its rows need; without rows it holds no memory.
    """

    def __init__(self, config: DecoderConfig, dtype: torch.dtype, device: torch.device) -> None:
        self.config = config
        self.lengths: list[int] = []
        self.store = torch.zeros(config.layers, 2, 0, config.kv_heads, 0, config.head_dim, dtype=dtype, device=device)

    def reserve(self, rows: int, slots: int, limit: int) -> None:
        """Room for `rows` rows of `slots` slots, which may become `limit`: doubled where it must grow.

        Made anew where it is more than eight times too large; it is never more than that, whatever was here before.
        """
        slots = max(slots, *self.lengths, 0)
        have_rows, have_slots = self.store.shape[2], self.store.shape[4]
        too_large = have_rows * have_slots > 8 * rows * max(slots, _LEAST)
        if rows <= have_rows and slots <= have_slots and not too_large:
            return
        ample = max(_LEAST, 2 * slots)
        self._resize(
            max(rows, 2 * have_rows) if rows > have_rows else min(have_rows, 2 * rows),
            max(slots, min(limit, ample)) if slots > have_slots else min(have_slots, ample),
        )

    def _resize(self, rows: int, slots: int) -> None:
        """Other memory, with what has been written so far."""
        layers, two, _, heads, _, width = self.store.shape
        resized = self.store.new_zeros(layers, two, rows, heads, slots, width)
        written, used = len(self.lengths), max(self.lengths, default=0)
        resized[:, :, :written, :, :used] = self.store[:, :, :written, :, :used]
        self.store = resized

    def clear(self) -> None:
        """Forget all rows."""
        self.lengths.clear()
        self._resize(0, 0)

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

    def extend_by(self, counts: Sequence[int]) -> tuple[Tensor, Attention]:
        """Several tokens more for each of the last `len(counts)` rows, which are all of one length so far.

        Their packed tokens' positions, and attention of each to its own row.
        """
        device, first, start = self.store.device, len(self.lengths) - len(counts), self.lengths[-1]
        rows, longest = len(counts), max(counts)
        places_RL = torch.arange(longest, device=device).expand(rows, -1)
        own_RL = places_RL < torch.tensor(counts, device=device)[:, None]
        row_N, place_N = own_RL.nonzero(as_tuple=True)
        positions_N = start + place_N
        seen_LS = torch.arange(start + longest, device=device) <= start + places_RL[0][:, None]
        self.lengths[first:] = [start + count for count in counts]

        def attention(layer: int, q_NAD: Tensor, k_NGD: Tensor, v_NGD: Tensor) -> Tensor:
            keys, values = self.store[layer]
            keys[first + row_N, :, positions_N] = k_NGD
            values[first + row_N, :, positions_N] = v_NGD
            k, v = (x[first : first + rows, :, : start + longest] for x in (keys, values))
            heads, groups, width = q_NAD.shape[1], k_NGD.shape[1], q_NAD.shape[2]
            q_RLAD = q_NAD.new_zeros(rows, longest, heads, width)
            q_RLAD[row_N, place_N] = q_NAD
            # the A / G queries that read one key head stand one below the other: nothing is repeated
            q = q_RLAD.view(rows, longest, groups, -1, width).permute(0, 2, 3, 1, 4).flatten(2, 3)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=seen_LS.repeat(heads // groups, 1))
            return out.view(rows, heads, longest, width)[row_N, :, place_N]

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
        device, rows, used = self.store.device, len(self.lengths), max(self.lengths) + 1
        positions_B = torch.tensor(self.lengths, device=device)
        write, mask = self._write_at(used - 1), None
        if min(self.lengths) < used - 1:
            seen_BS = torch.arange(used, device=device) <= positions_B[:, None]
            mask = torch.zeros((), dtype=self.store.dtype, device=device).where(seen_BS, -torch.inf)[:, None, None]
            write = self._write_at_each(positions_B)
        near = self.store[:, :, :rows, :, :used].flatten(0, 1).unbind(0)
        self.lengths = [length + 1 for length in self.lengths]

        def attention(layer: int, q_BAD: Tensor, k_BGD: Tensor, v_BGD: Tensor) -> Tensor:
            write(2 * layer, k_BGD)
            write(2 * layer + 1, v_BGD)
            # the A / G queries that read one key head stand as so many tokens of that head: nothing is repeated
            q = q_BAD.view(rows, k_BGD.shape[1], -1, q_BAD.shape[2])
            return _attend_rows(q, near[2 * layer], near[2 * layer + 1], mask)

        return positions_B, attention

    def _write_at(self, slot: int) -> Callable[[int, Tensor], None]:
        """A function that writes keys (of layer l: 2l) or values (2l + 1) B×G×D into the same slot of every row."""
        places = self.store[:, :, : len(self.lengths), :, slot].flatten(0, 1).unbind(0)

        def write(which: int, x_BGD: Tensor) -> None:
            places[which].copy_(x_BGD)

        return write

    def _write_at_each(self, slots_B: Tensor) -> Callable[[int, Tensor], None]:
        """The same, into a slot of its own for every row."""
        layers, two, _, heads, slots, width = self.store.shape
        flat = self.store.view(layers * two, -1, width).unbind(0)
        first_slots = torch.arange(0, len(slots_B) * heads * slots, slots, device=slots_B.device)
        places = first_slots + slots_B.repeat_interleave(heads)  # in [rows · G · S, D]

        def write(which: int, x_BGD: Tensor) -> None:
            flat[which].index_copy_(0, places, x_BGD.reshape(-1, width))

        return write

    def drop(self, row: int) -> None:
        """Forget a row; the last one takes its place."""
        last = len(self.lengths) - 1
        if row != last:
            used = self.lengths[last]
            self.store[:, :, row, :, :used] = self.store[:, :, last, :, :used]
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if not self.lengths:
            self.clear()


def _attend_rows(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of q [B, G, A / G, D] to k and v [B, G, S, D], `mask` [B, 1, 1, S] added to the scores.

    On a CPU as two products: for several rows with so few queries up to twice as fast as the flash kernel, which in
    half precision is more exact, and for a single row is one call instead of ten.
    """
    if q.device.type != "cpu" or q.dtype not in (torch.float32, torch.float64) or len(q) == 1:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = torch.bmm((q * q.shape[-1] ** -0.5).flatten(0, 1), k.flatten(0, 1).mT).view(*q.shape[:3], -1)
    if mask is not None:
        scores += mask
    return torch.bmm(torch.softmax(scores, -1).flatten(0, 1), v.flatten(0, 1)).view(q.shape)
