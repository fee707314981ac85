"""Causal attention inside documents over flattened, packed tokens: one function, several backends.

Shapes: N packed tokens, A query heads, G key and value heads, D head width, S segments.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Boundaries(NamedTuple):
    """Where segments (documents or their pieces) begin and end among N packed tokens.

    `offsets`: int32[S + 1], rising from 0 to N; repeated N at the end is padding, so that its length stays fixed.
    `rows`: the tokens are `rows` stretches of N / rows; no segment reaches over the end of a stretch.
    """

    offsets: Tensor
    rows: int

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Boundaries:
        """The same boundaries on another device."""
        return Boundaries(self.offsets.to(device, non_blocking=non_blocking), self.rows)


def attend(q_NAD: Tensor, k_NGD: Tensor, v_NGD: Tensor, boundaries: Boundaries, backend: str | None = None) -> Tensor:
    """Causal softmax attention of every token to its own segment; scale 1 / sqrt(D).

    Query head a reads key head a // (A / G). Returns N×A×D in the dtype of `q_NAD`. `backend` is `dense` (the oracle,
    memory quadratic in N / rows), `cpu` or `varlen` (CUDA, half precision); by default the best for the tensors.
    """
    backend = backend or _choose(q_NAD)
    if backend == "cpu":
        return _cpu_attention(q_NAD, k_NGD, v_NGD, boundaries.offsets)[0]
    if backend == "varlen":
        return _varlen(q_NAD, k_NGD, v_NGD, boundaries)
    return dense_attention(q_NAD, k_NGD, v_NGD, boundaries)


def _choose(q: Tensor) -> str:
    if q.device.type == "cpu":
        return "cpu"
    return "varlen" if q.device.type == "cuda" and q.dtype in (torch.bfloat16, torch.float16) else "dense"


def dense_attention(q_NAD: Tensor, k_NGD: Tensor, v_NGD: Tensor, boundaries: Boundaries) -> Tensor:
    """The definition: all scores of a row of tokens, those outside the causal part of the document masked."""
    tokens, heads, width = q_NAD.shape
    rows, groups = boundaries.rows, heads // k_NGD.shape[1]
    length = tokens // rows
    place_N = torch.arange(tokens, device=q_NAD.device)
    segment_N = torch.bucketize(place_N, boundaries.offsets[1:].to(torch.int64), right=True)
    segment_RT = segment_N.view(rows, length)
    mask_RTT = (segment_RT[:, :, None] == segment_RT[:, None, :]).tril()
    q, k, v = (
        x.view(rows, length, -1, width).transpose(1, 2)
        for x in (q_NAD, k_NGD.repeat_interleave(groups, 1), v_NGD.repeat_interleave(groups, 1))
    )
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask_RTT[:, None])
    return out.transpose(1, 2).reshape(tokens, heads, width)


# ---- CUDA --------------------------------------------------------------------------------------------------------


@functools.cache
def _varlen_features() -> frozenset[str]:
    from torch.nn.attention.varlen import varlen_attn

    return frozenset(inspect.signature(varlen_attn).parameters)


def _varlen(q: Tensor, k: Tensor, v: Tensor, boundaries: Boundaries) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    longest = q.shape[0] // boundaries.rows  # a bound that is known without asking the device
    options: dict[str, Any] = {}
    if k.shape[1] != q.shape[1]:
        if "enable_gqa" in _varlen_features():
            options["enable_gqa"] = True
        else:  # torch 2.11
            k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    offsets = boundaries.offsets
    out = varlen_attn(q, k, v, offsets, offsets, longest, longest, window_size=(-1, 0), **options)
    assert isinstance(out, Tensor)
    return out


# ---- CPU ---------------------------------------------------------------------------------------------------------
#
# Segments of similar length are gathered into batches [n, L], padded at the end: under a causal mask no real query
# sees the padding behind it, so the result is exact. One call for each length class instead of one for each document
# is what makes short documents cheap. Half precision goes through batched matrix products, 2× faster than the flash
# kernel of torch 2.13 at any length: a block of queries at a time, against the keys up to its end, so that scores stay
# few and half of them are never made. Else the flash kernel.

_CLASSES = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
_HALF_STEP = 32
"""Padded lengths in half precision are multiples: softmax over other rows is up to 3 × slower."""
WHOLE_UP_TO, QUERY_BLOCK = 256, 128
"""Segments up to the first are one block of queries; longer ones are cut into blocks of the second."""

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class _Class(NamedTuple):
    """The n segments of one length class, padded to L, as n·L rows of the packed tokens.

    Padding is read from any row and written to row N, which is spare.
    """

    size: int
    length: int
    sources: Tensor
    places: Tensor


@functools.lru_cache(maxsize=16)
def _classes(offsets: bytes, step: int = 1) -> tuple[_Class, ...]:
    """Group the segments between int32 `offsets` by padded length, a multiple of `step`."""
    import numpy as np

    edges = np.frombuffer(offsets, np.int32).astype(np.int64)
    starts, lengths = edges[:-1], np.diff(edges)
    bounds = np.array(_CLASSES)
    place = np.searchsorted(bounds, lengths)
    padded = np.where(place < len(bounds), bounds[np.minimum(place, len(bounds) - 1)], -(-lengths // 512) * 512)
    classes = []
    for size in np.unique(padded[lengths > 0]):
        chosen = (padded == size) & (lengths > 0)
        longest = -(-int(lengths[chosen].max()) // step) * step
        column = np.arange(longest)
        rows = np.where(column < lengths[chosen][:, None], starts[chosen][:, None] + column, edges[-1]).reshape(-1)
        sources, places = torch.from_numpy(np.minimum(rows, edges[-1] - 1)), torch.from_numpy(rows)
        classes.append(_Class(int(chosen.sum()), longest, sources, places))
    return tuple(classes)


def _gather(x_NHD: Tensor, part: _Class) -> Tensor:
    """n·L rows of packed tokens as [n, heads, L, D]."""
    rows = x_NHD.index_select(0, part.sources)
    return rows.view(part.size, part.length, *x_NHD.shape[1:]).transpose(1, 2)


def _gather_or_zero(x_PHD: Tensor, part: _Class) -> Tensor:
    """The same of N + 1 rows, the last of which, zero, stands for padding."""
    rows = x_PHD.index_select(0, part.places)
    return rows.view(part.size, part.length, *x_PHD.shape[1:]).transpose(1, 2)


def _scatter(into: Tensor, part: _Class, x_nHLD: Tensor) -> None:
    into.index_copy_(0, part.places, x_nHLD.transpose(1, 2).reshape(-1, *into.shape[1:]))


def _is_half(x: Tensor) -> bool:
    return x.dtype in (torch.bfloat16, torch.float16)


class _Block(NamedTuple):
    """A block of queries of every segment of a class, and the keys that it may see: up to its own end."""

    start: int
    end: int
    q_BQD: Tensor
    """Queries, scaled; the heads of a group stand one below the other."""
    k_BKD: Tensor
    v_BKD: Tensor
    p_BQK: Tensor
    """Attention probabilities."""


def _query_blocks(q_nALD: Tensor, k_nGLD: Tensor, v_nGLD: Tensor) -> Iterator[_Block]:
    """Blocks of a class of segments as batches of n·G key heads, probabilities included."""
    n, heads, length, width = q_nALD.shape
    groups = k_nGLD.shape[1]
    q = (q_nALD * width**-0.5).reshape(n * groups, heads // groups, length, width)
    k, v = (x.reshape(n * groups, length, width) for x in (k_nGLD, v_nGLD))
    rows = length if length <= WHOLE_UP_TO else QUERY_BLOCK
    for start in range(0, length, rows):
        end = min(length, start + rows)
        q_BQD, k_BKD = q[:, :, start:end].reshape(n * groups, -1, width), k[:, :end]
        yield _Block(start, end, q_BQD, k_BKD, v[:, :end], _probabilities(q_BQD, k_BKD, end - start))


def _probabilities(q_BQD: Tensor, k_BKD: Tensor, rows: int) -> Tensor:
    """Softmax of the scores; the last `rows` keys are the queries' own places, masked where they lie ahead."""
    scores_BQK = torch.bmm(q_BQD, k_BKD.mT)
    future = torch.full((rows, rows), -torch.inf, dtype=q_BQD.dtype).triu_(1)
    scores_BQK.view(len(q_BQD), -1, rows, k_BKD.shape[1])[..., -rows:] += future
    return torch.softmax(scores_BQK, -1)


def _dense_forward(q_nALD: Tensor, k_nGLD: Tensor, v_nGLD: Tensor) -> Tensor:
    n, heads, length, width = q_nALD.shape
    groups = k_nGLD.shape[1]
    out = q_nALD.new_empty(n * groups, heads // groups, length, width)
    for block in _query_blocks(q_nALD, k_nGLD, v_nGLD):
        out[:, :, block.start : block.end] = torch.bmm(block.p_BQK, block.v_BKD).view(
            n * groups, heads // groups, -1, width
        )
    return out.view(q_nALD.shape)


def _dense_backward(grad_nALD: Tensor, q_nALD: Tensor, k_nGLD: Tensor, v_nGLD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by the chain rule; probabilities are computed again, what blocks add to keys is summed in fp32."""
    n, heads, length, width = q_nALD.shape
    groups = k_nGLD.shape[1]
    grad = grad_nALD.reshape(n * groups, heads // groups, length, width)
    dq = torch.empty_like(grad)
    exact = torch.float32 if length > WHOLE_UP_TO else q_nALD.dtype
    dk, dv = (torch.zeros(n * groups, length, width, dtype=exact) for _ in range(2))
    for block in _query_blocks(q_nALD, k_nGLD, v_nGLD):
        rows = slice(block.start, block.end)
        grad_BQD = grad[:, :, rows].reshape(n * groups, -1, width)
        dv[:, : block.end] += torch.bmm(block.p_BQK.mT, grad_BQD)
        ds = torch.ops.aten._softmax_backward_data(
            torch.bmm(grad_BQD, block.v_BKD.mT), block.p_BQK, -1, block.p_BQK.dtype
        )
        dq[:, :, rows] = torch.bmm(ds, block.k_BKD).view(n * groups, heads // groups, -1, width)
        dk[:, : block.end] += torch.bmm(ds.mT, block.q_BQD)
    dk, dv = (x.to(q_nALD.dtype).view(k_nGLD.shape) for x in (dk, dv))
    return dq.mul_(width**-0.5).view(q_nALD.shape), dk, dv


@torch.library.custom_op("tilth::packed_attention", mutates_args=(), device_types="cpu")
def _cpu_attention(q: Tensor, k: Tensor, v: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over packed segments; also the logarithm of the softmax's denominator, [N + 1, A] (flash classes)."""
    tokens, heads, width = q.shape
    groups = heads // k.shape[1]
    out = q.new_empty(tokens + 1, heads, width)
    scale = torch.zeros(tokens + 1, heads, dtype=torch.float64 if q.dtype == torch.float64 else torch.float32)
    for part in _classes(offsets.numpy().tobytes(), _HALF_STEP if _is_half(q) else 1):
        q_part, k_part, v_part = (_gather(x, part) for x in (q, k, v))
        if _is_half(q):
            out_part = _dense_forward(q_part, k_part, v_part)
        else:
            k_part, v_part = (x.repeat_interleave(groups, 1) for x in (k_part, v_part))
            out_part, scale_part = _flash(q_part, k_part, v_part, 0.0, True)
            _scatter(scale, part, scale_part)
        _scatter(out, part, out_part)
    return out[:tokens], scale


@_cpu_attention.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    tokens, heads, _ = q.shape
    dtype = torch.float64 if q.dtype == torch.float64 else torch.float32
    return torch.empty_like(q, memory_format=torch.contiguous_format), q.new_empty(tokens + 1, heads, dtype=dtype)


@torch.library.custom_op("tilth::packed_attention_backward", mutates_args=(), device_types="cpu")
def _cpu_attention_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, scale: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    tokens = q.shape[0]
    groups = q.shape[1] // k.shape[1]
    grads = [x.new_empty(tokens + 1, *x.shape[1:]) for x in (q, k, v)]
    grad = torch.cat([grad, grad.new_zeros(1, *grad.shape[1:])])  # so that a padded query asks for nothing
    for part in _classes(offsets.numpy().tobytes(), _HALF_STEP if _is_half(q) else 1):
        q_part, k_part, v_part = (_gather(x, part) for x in (q, k, v))
        grad_part = _gather_or_zero(grad, part)
        if _is_half(q):
            found = _dense_backward(grad_part, q_part, k_part, v_part)
        else:
            k_part, v_part = (x.repeat_interleave(groups, 1) for x in (k_part, v_part))
            out_part, scale_part = _gather(out, part), _gather(scale, part)
            found = _flash_backward(grad_part, q_part, k_part, v_part, out_part, scale_part, 0.0, True)
            found = (found[0], *(_sum_groups(x, groups) for x in found[1:]))
        for into, x in zip(grads, found, strict=True):
            _scatter(into, part, x)
    dq, dk, dv = (x[:tokens] for x in grads)
    return dq, dk, dv


def _sum_groups(x_nALD: Tensor, groups: int) -> Tensor:
    """Gradients of repeated key heads summed back to the G that there are."""
    count, heads, length, width = x_nALD.shape
    return x_nALD.view(count, heads // groups, groups, length, width).sum(2)


@_cpu_attention_backward.register_fake
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, scale: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    return dq, dk, dv


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:3], output[0], output[1], inputs[3])


def _differentiate(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, out, scale, offsets = ctx.saved_tensors
    dq, dk, dv = _cpu_attention_backward(grad, q, k, v, out, scale, offsets)
    return dq, dk, dv, None


torch.library.register_autograd("tilth::packed_attention", _differentiate, setup_context=_keep)
