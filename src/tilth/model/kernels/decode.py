"""One token more for every row of a batch: all layers of a decoder in one call, in fp32, on one thread or several.

Shapes: B rows, H hidden, A query heads, G key and value heads, D head width, F width of the feed-forward, L layers,
S cache slots. Every number is computed by one thread in a fixed order: the same bits for any number of threads, and
whoever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from tilth.base.jit import helper, jit, pointer
from tilth.model.kernels import rows
from tilth.model.kernels.panels import LANES, product
from tilth.model.kernels.rows import ONE, ZERO, dot, exp, head, normalise, swiglu, total

_LET_GO = 2**62
"""More arrivals than any phase waits for."""
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


arrive: Any = intrinsic(_arrive)
arrived: Any = intrinsic(_arrived)
give_way: Any = intrinsic(_give_way)


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


@helper
def _attend(q, memory, keys, values, count, scores, out, ot, width):  # type: ignore[no-untyped-def]
    """One head's attention of q [D], scaled already, to the first `count` slots of its keys and values."""
    top = np.float32(-np.inf)
    for s in range(count):
        scores[s] = dot(q, 0, memory, keys + s * width, width)
        top = max(top, scores[s])
    for s in range(count):
        scores[s] = exp(scores[s] - top)
    scale = ONE / total(scores, count)
    for d in range(width):
        out[ot + d] = ZERO
    for s in range(count):
        p, row = scores[s] * scale, values + s * width
        for d in range(width):
            out[ot + d] += p * memory[row + d]


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
    here, factor, phase = normed_TBH[thread].ctypes.data, ONE / np.sqrt(np.float32(width)), 0
    for layer in range(len(weights_L4)):
        for r in range(B):
            normalise(x, r * H, norms, 2 * layer * H, floors[0], normed, r * H, H)
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
            at, start = positions_B[r], r * W
            table = at * width
            keys = (((2 * layer) * rows + r) * groups + g) * slots * width
            values = (((2 * layer + 1) * rows + r) * groups + g) * slots * width
            norm = (layer * (queries + groups) + queries + g) * width if len(qk_norms_LMD) else -1
            place = start + (queries + g) * width
            head(qkv, place, qk_norms, norm, floors[1], cos, sin, table, ONE, scratch, memory, keys + table, width)
            place += groups * width
            for d in range(width):
                memory[values + table + d] = qkv[place + d]
            for a in range(g * (queries // groups), (g + 1) * (queries // groups)):
                norm = (layer * (queries + groups) + a) * width if len(qk_norms_LMD) else -1
                place = start + a * width
                head(qkv, place, qk_norms, norm, floors[1], cos, sin, table, factor, scratch, query, 0, width)
                _attend(query, memory, keys, values, at + 1, scores, mixed, r * Q + a * width, width)
        phase += 1
        _wait(barrier, phase, threads)

        first, last = _share(H // LANES, thread, threads)
        product(weights_L4[layer, 1], mixed_BQ.ctypes.data, x_BH.ctypes.data, B, Q, H, first, last, 1, half)
        phase += 1
        _wait(barrier, phase, threads)

        for r in range(B):
            normalise(x, r * H, norms, (2 * layer + 1) * H, floors[0], normed, r * H, H)
        first, last = _share(F // LANES, thread, threads)
        for part in range(2):
            begin = part * (F // LANES)
            to = gate_up_B2F.ctypes.data
            product(weights_L4[layer, 2], here, to, B, H, 2 * F, begin + first, begin + last, 0, half)
        swiglu(gate_up, 0, B, F, first * LANES, last * LANES, act)
        phase += 1
        _wait(barrier, phase, threads)

        first, last = _share(H // LANES, thread, threads)
        product(weights_L4[layer, 3], act_BF.ctypes.data, x_BH.ctypes.data, B, F, H, first, last, 1, half)
        phase += 1
        _wait(barrier, phase, threads)
    own[0] = ZERO  # a pointer keeps no array alive: without a last use here numba would free it at once


class DecodeStep:
    """The kernel with a model's weights. `layers`: packed (query-key-value, output, gate-up, down) of each layer.

    `norms_L2H`: the norms' weights times √H; `qk_norms_LMD` those of query and key heads times √D, `biases_LW` of
    queries, keys and values; both may be empty. `eps` of the norms.
    """

    rows = rows
    """What does the same between the products of many tokens."""

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
        others: list[Future[None]] = []
        try:
            for thread in range(1, threads):
                assert self._pool is not None
                others.append(self._pool[1].submit(_step, thread, threads, *fixed, *buffers))
            _step(0, threads, *fixed, *buffers)
            for other in others:
                other.result()
        except BaseException:  # as Ctrl-C before this thread's part: the others must not wait for it, nor write later
            barrier[0] = _LET_GO
            wait(others)
            raise

    def _buffers_for(self, rows: int, hidden: int, threads: int) -> list[np.ndarray]:
        """Room for what lies between products: kept for the next step, which has as many rows nearly always."""
        if not self._buffers or self._buffers[0].shape[:2] != (threads, rows):
            self._buffers = [np.empty((threads, rows, hidden), np.float32)]
            self._buffers += [np.empty((rows, width), np.float32) for width in self._widths]
        return self._buffers
