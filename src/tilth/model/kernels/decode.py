"""One token more for every row of a batch: all layers of a decoder in one call, in fp32, on one thread or several.

Shapes: B rows, H hidden, A query heads, G key and value heads, D head width, F width of the feed-forward, L layers,
S cache slots. Every number is computed by one thread in a fixed order: the same bits for any number of threads, and
whoever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from tilth.model.kernels.panels import LANES, product
from tilth.text.jit import helper, jit, pointer, summing

_SPINS = 1000
"""Looks at the others before the processor is given away for a moment."""


def _arrive(context: Any, counter: Any) -> Any:
    """arrive(counter): add one to counter[0], seen by all threads at once."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, values[0]).data
        builder.atomic_rmw("add", place, ir.Constant(ir.IntType(64), 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(counter), generate


def _arrived(context: Any, counter: Any) -> Any:
    """arrived(counter): counter[0] as the other threads have left it."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(counter), generate


def _give_way(context: Any) -> Any:
    """give_way(): let another thread have the processor (POSIX sched_yield)."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


def _power_of_two(context: Any, exponent: Any) -> Any:
    """power_of_two(n): 2ⁿ as fp32, for an int32 n between -126 and 127."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        i32 = ir.IntType(32)
        bits = builder.shl(builder.add(values[0], i32(127)), i32(23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.int32), generate


arrive: Any = intrinsic(_arrive)
arrived: Any = intrinsic(_arrived)
give_way: Any = intrinsic(_give_way)
power_of_two: Any = intrinsic(_power_of_two)


@helper
def _wait(barrier, phase, threads):  # type: ignore[no-untyped-def]
    """Until all threads have come to the end of phase `phase` (from 1)."""
    if threads == 1:
        return
    arrive(barrier)
    spins = 0
    while arrived(barrier) < phase * threads:
        spins += 1
        if spins % _SPINS == 0:
            give_way()


@helper
def _share(count, thread, threads):  # type: ignore[no-untyped-def]
    """From where to where a thread does its part of `count` things."""
    return count * thread // threads, count * (thread + 1) // threads


_LOG2_E, _LN2_HIGH, _LN2_LOW, _LEAST = map(np.float32, (1.44269504, 0.693359375, -2.12194440e-4, -87.0))
_HALF, _ONE, _ZERO = map(np.float32, (0.5, 1.0, 0.0))
_P0, _P1, _P2, _P3, _P4 = map(np.float32, (1.9875691e-4, 1.3981999e-3, 8.3334519e-3, 4.1665796e-2, 1.6666665e-1))


@helper
def _exp(x):  # type: ignore[no-untyped-def]
    """eˣ for x ≤ 0, to about an unit in the last place: the polynomial of Cephes' expf (Moshier), without branches."""
    x = max(x, _LEAST)
    n = np.int32(x * _LOG2_E - _HALF)
    whole = np.float32(n)
    x = x - whole * _LN2_HIGH - whole * _LN2_LOW
    p = ((((_P0 * x + _P1) * x + _P2) * x + _P3) * x + _P4) * x + _HALF
    return (p * x * x + x + _ONE) * power_of_two(n)


# Helpers take pointers and places, not arrays: numba would count references to each at every call.


@summing
def _dot(a, at, b, bt, width):  # type: ignore[no-untyped-def]
    total = _ZERO
    for i in range(width):
        total += a[at + i] * b[bt + i]
    return total


@summing
def _total(x, count):  # type: ignore[no-untyped-def]
    total = _ZERO
    for i in range(count):
        total += x[i]
    return total


@helper
def _normalise(x, at, weight, wt, floor, out, ot, width):  # type: ignore[no-untyped-def]
    """RMSNorm without its √width, which stands in the weight: x / √(Σx² + floor) · weight."""
    scale = _ONE / np.sqrt(_dot(x, at, x, at, width) + floor)
    for i in range(width):
        out[ot + i] = x[at + i] * scale * weight[wt + i]


@helper
def _rotate(head, cos, sin, table, factor, out, ot, width):  # type: ignore[no-untyped-def]
    """Rotary positions, half-split, times `factor`; the sine of the first half is negative."""
    half = width // 2
    for i in range(half):
        low, high = head[i] * factor, head[i + half] * factor
        out[ot + i] = low * cos[table + i] + high * sin[table + i]
        out[ot + i + half] = high * cos[table + i + half] + low * sin[table + i + half]


@helper
def _attend(q, memory, keys, values, count, scores, out, ot, width):  # type: ignore[no-untyped-def]
    """One head's attention of q [D], scaled already, to the first `count` slots of its keys and values."""
    top = np.float32(-np.inf)
    for s in range(count):
        scores[s] = _dot(q, 0, memory, keys + s * width, width)
        top = max(top, scores[s])
    for s in range(count):
        scores[s] = _exp(scores[s] - top)
    scale = _ONE / _total(scores, count)
    for d in range(width):
        out[ot + d] = _ZERO
    for s in range(count):
        p, row = scores[s] * scale, values + s * width
        for d in range(width):
            out[ot + d] += p * memory[row + d]


@helper
def _swiglu(gate_up, rows, width, first, last, out):  # type: ignore[no-untyped-def]
    """silu(gate) · up for the columns from `first` to `last`."""
    for r in range(rows):
        gate, up = 2 * r * width, (2 * r + 1) * width
        for i in range(first, last):
            x = gate_up[gate + i]
            e = _exp(-abs(x))
            out[r * width + i] = x * ((_ONE if x > _ZERO else e) / (_ONE + e)) * gate_up[up + i]


@helper
def _head(qkv, at, norms, wt, floor, cos, sin, table, factor, scratch, out, ot, width):  # type: ignore[no-untyped-def]
    """A query or key head as attention wants it: behind its norm where there is one (wt ≥ 0), rotated, scaled."""
    if wt >= 0:
        _normalise(qkv, at, norms, wt, floor, scratch, 0, width)
    else:
        for i in range(width):
            scratch[i] = qkv[at + i]
    _rotate(scratch, cos, sin, table, factor, out, ot, width)


_F1, _F2, _F3, _F6 = (types.Array(types.float32, dimensions, "C") for dimensions in (1, 2, 3, 6))
_I1, _I2 = (types.Array(types.int64, dimensions, "C") for dimensions in (1, 2))
_INT = types.int64
_ARGUMENTS = (_INT, _INT, _I1, _I1, _I2, _INT, _F3, _F3, _F2, _F1, _F2, _F2, _F6, _F2, _F3, *[_F2] * 4)


@jit(types.void(*_ARGUMENTS))
def _step(  # type: ignore[no-untyped-def]
    thread,
    threads,
    barrier,
    positions_B,
    weights_L4,
    half,
    norms_L2H,
    qk_norms_LMD,
    biases_LW,
    floors,
    cos_PD,
    sin_PD,
    cache,
    x_BH,
    normed_TBH,
    qkv_BW,
    mixed_BQ,
    gate_up_B2F,
    act_BF,
):
    """A thread's part of the step. Between two products there is one place at which all wait for all."""
    rows, groups, slots, width = cache.shape[2:]
    B, H, W, Q, F = len(positions_B), x_BH.shape[1], qkv_BW.shape[1], mixed_BQ.shape[1], act_BF.shape[1]
    queries = Q // width
    own = np.empty(2 * width + slots, np.float32)
    scratch, query, scores = pointer(own), pointer(own[width:]), pointer(own[2 * width :])
    x, qkv, mixed = pointer(x_BH), pointer(qkv_BW), pointer(mixed_BQ)
    gate_up, act = pointer(gate_up_B2F), pointer(act_BF)
    normed, memory, cos, sin = pointer(normed_TBH[thread]), pointer(cache), pointer(cos_PD), pointer(sin_PD)
    norms, qk_norms, biases = pointer(norms_L2H), pointer(qk_norms_LMD), pointer(biases_LW)
    here, factor, phase = normed_TBH[thread].ctypes.data, _ONE / np.sqrt(np.float32(width)), 0
    for layer in range(len(weights_L4)):
        for r in range(B):
            _normalise(x, r * H, norms, 2 * layer * H, floors[0], normed, r * H, H)
        first, last = _share(W // LANES, thread, threads)
        product(weights_L4[layer, 0], here, qkv_BW.ctypes.data, B, H, W, first, last, 0, half)
        if len(biases_LW):
            for r in range(B):
                for i in range(first * LANES, last * LANES):
                    qkv[r * W + i] += biases[layer * W + i]
        phase += 1
        _wait(barrier, phase, threads)

        first, last = _share(B * groups, thread, threads)
        for item in range(first, last):
            r, g = item // groups, item % groups
            at, head = positions_B[r], r * W
            table = at * width
            keys = (((2 * layer) * rows + r) * groups + g) * slots * width
            values = (((2 * layer + 1) * rows + r) * groups + g) * slots * width
            norm = (layer * (queries + groups) + queries + g) * width if len(qk_norms_LMD) else -1
            place = head + (queries + g) * width
            _head(qkv, place, qk_norms, norm, floors[1], cos, sin, table, _ONE, scratch, memory, keys + table, width)
            place += groups * width
            for d in range(width):
                memory[values + table + d] = qkv[place + d]
            for a in range(g * (queries // groups), (g + 1) * (queries // groups)):
                norm = (layer * (queries + groups) + a) * width if len(qk_norms_LMD) else -1
                place = head + a * width
                _head(qkv, place, qk_norms, norm, floors[1], cos, sin, table, factor, scratch, query, 0, width)
                _attend(query, memory, keys, values, at + 1, scores, mixed, r * Q + a * width, width)
        phase += 1
        _wait(barrier, phase, threads)

        first, last = _share(H // LANES, thread, threads)
        product(weights_L4[layer, 1], mixed_BQ.ctypes.data, x_BH.ctypes.data, B, Q, H, first, last, 1, half)
        phase += 1
        _wait(barrier, phase, threads)

        for r in range(B):
            _normalise(x, r * H, norms, (2 * layer + 1) * H, floors[0], normed, r * H, H)
        first, last = _share(F // LANES, thread, threads)
        for part in range(2):
            start = part * (F // LANES)
            to = gate_up_B2F.ctypes.data
            product(weights_L4[layer, 2], here, to, B, H, 2 * F, start + first, start + last, 0, half)
        _swiglu(gate_up, B, F, first * LANES, last * LANES, act)
        phase += 1
        _wait(barrier, phase, threads)

        first, last = _share(H // LANES, thread, threads)
        product(weights_L4[layer, 3], act_BF.ctypes.data, x_BH.ctypes.data, B, F, H, first, last, 1, half)
        phase += 1
        _wait(barrier, phase, threads)


class DecodeStep:
    """The kernel with a model's weights. `layers`: packed (query-key-value, output, gate-up, down) of each layer.

    `norms_L2H`: the norms' weights times √H; `qk_norms_LMD` those of query and key heads times √D, `biases_LW` of
    queries, keys and values; both may be empty. `eps` of the norms.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[Tensor]],
        norms_L2H: Tensor,
        qk_norms_LMD: Tensor,
        biases_LW: Tensor,
        *,
        hidden: int,
        head_dim: int,
        eps: float,
    ) -> None:
        self._held = layers
        self._weights = np.array([[weight.data_ptr() for weight in layer] for layer in layers], np.int64)
        self._half = int(layers[0][0].dtype == torch.bfloat16)
        self._constants = [x.to(torch.float32).contiguous().numpy() for x in (norms_L2H, qk_norms_LMD, biases_LW)]
        self._floors = np.array([hidden * eps, head_dim * eps], np.float32)
        (qkv, _, _, down), heads = layers[0], layers[0][1].shape[1]
        self._widths = len(qkv) * LANES, heads, 2 * down.shape[1], down.shape[1]
        self._buffers: list[np.ndarray] = []
        self._pool: tuple[int, ThreadPoolExecutor] | None = None
        """Its own: threads that wait for each other must all be there."""

    def __call__(self, x_BH: Tensor, positions_B: Sequence[int], cos_PD: Tensor, sin_PD: Tensor, cache: Tensor) -> None:
        """`x_BH` becomes the residual stream behind the last layer; keys and values go into `cache`.

        `cache` is [L, 2, rows, G, S, D]; row b writes slot `positions_B[b]` and attends to the slots up to there.
        """
        threads = torch.get_num_threads()
        if threads > 1 and (self._pool is None or self._pool[0] < threads):
            self._pool = threads, ThreadPoolExecutor(threads - 1, thread_name_prefix="decode")
        positions, barrier = np.array(positions_B, np.int64), np.zeros(1, np.int64)
        tables = [tensor.numpy() for tensor in (cos_PD, sin_PD, cache, x_BH)]
        fixed = (barrier, positions, self._weights, self._half, *self._constants, self._floors, *tables)
        buffers = self._buffers_for(len(positions), x_BH.shape[1], threads)
        others = [
            self._pool[1].submit(_step, thread, threads, *fixed, *buffers) for thread in range(1, threads) if self._pool
        ]
        _step(0, threads, *fixed, *buffers)
        for other in others:
            other.result()

    def _buffers_for(self, rows: int, hidden: int, threads: int) -> list[np.ndarray]:
        """Room for what lies between products: kept for the next step, which has as many rows nearly always."""
        if not self._buffers or self._buffers[0].shape[:2] != (threads, rows):
            self._buffers = [np.empty((threads, rows, hidden), np.float32)]
            self._buffers += [np.empty((rows, width), np.float32) for width in self._widths]
        return self._buffers
