"""fp32 products with a weight that is kept in panels of 16 outputs, as fp32 or, where that loses nothing, as bf16.

Generation reads every weight once for a few rows, so the memory's bandwidth is its speed: weights whose values bf16
holds (those of most published models) are kept in two bytes, widened in the registers, and multiplied in fp32. An
output is a sum in the order of the inputs, whatever stands beside it: the same bits for 1 row or 1,000, for 1 thread or
many.

The tile is the one of BLIS (Van Zee and van de Geijn 2015): R rows by P panels of sums stay in registers while the
inputs pass by.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from tilth.base import machine
from tilth.base.jit import helper, jit

LANES = 16
"""Outputs of a panel."""
_WORTH_SHARING = 2**21
"""Products of two numbers that are worth waking another thread for (about 40 microseconds)."""
HEIGHT = 16 if binding.get_host_cpu_features().get("avx512f") else 6
"""Rows of a tile at most: as many sums as 32 registers of 16 numbers hold, or 16 of 8."""

_AHEAD = 32 * LANES
"""Weights between those that are multiplied and those that are fetched from memory: where many rows keep the processor
so busy that it looks less far ahead of itself than the memory is away. With few rows it hinders."""

_F32, _I16, _I32, _I64 = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_LANES_F32, _LANES_I16, _LANES_I32 = (ir.VectorType(kind, LANES) for kind in (_F32, _I16, _I32))
_ZEROS = ir.Constant(_LANES_F32, [0.0] * LANES)


def pack(weight_OI: Tensor) -> Tensor:
    """[⌈O / 16⌉, I, 16] in the weight's dtype, fp32 or bf16; outputs are filled up with zeros."""
    outputs, inputs = weight_OI.shape
    panels = weight_OI.new_zeros(-(-outputs // LANES) * LANES, inputs)
    panels[:outputs] = weight_OI
    return panels.view(-1, LANES, inputs).mT.contiguous()


def _tile(context: Any, w: Any, x: Any, y: Any, rows: Any, inner: Any, out: Any, add: Any, half: Any) -> Any:
    """tile(w, x, y, rows, inner, out, add, half): y[rows, 16] = x[rows, inner] · panel, or added to it.

    w, x, y are the addresses of the panel, of the first row of x, and of its outputs in y, whose rows are `out` apart.
    1 ≤ rows ≤ HEIGHT: there is a loop of its own for every number of rows, all in one function of the module.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 8)
        function = cgutils.get_or_insert_function(builder.module, kind, "tilth_tile")
        if not function.blocks:
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")  # else it would be compiled anew wherever it is called
            _write_tile(function)
        builder.call(function, values)
        return context.get_dummy_value()

    return types.void(w, x, y, rows, inner, out, add, half), generate


def _write_tile(function: ir.Function) -> None:
    builder = ir.IRBuilder(function.append_basic_block())
    w, x, y, rows, inner, out, add, half = function.args
    x, y = (builder.inttoptr(address, _F32.as_pointer()) for address in (x, y))
    adds = builder.icmp_signed("!=", add, _I64(0))
    end = builder.append_basic_block()
    choice = builder.switch(builder.add(builder.add(rows, rows), half), end)
    for count in range(1, HEIGHT + 1):
        for kind in (_F32, _I16):
            block = builder.append_basic_block()
            choice.add_case(_I64(2 * count + (kind == _I16)), block)
            builder.position_at_end(block)
            panel = builder.inttoptr(w, kind.as_pointer())
            _store(builder, _sums(builder, panel, x, inner, count), y, out, adds)
            builder.branch(end)
    builder.position_at_end(end)
    builder.ret_void()


def _sums(builder: ir.IRBuilder, panel: ir.Value, x: ir.Value, inner: ir.Value, rows: int) -> list[ir.Value]:
    """The loop over the inputs: 16 sums a row, in the inputs' order."""
    fused = ir.FunctionType(_LANES_F32, [_LANES_F32] * 3)
    multiply_add = cgutils.get_or_insert_function(builder.module, fused, f"llvm.fma.v{LANES}f32")
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    i = builder.phi(_I64)
    sums = [builder.phi(_LANES_F32) for _ in range(rows)]
    at = builder.mul(i, _I64(LANES))
    weights = _load(builder, panel, at)
    if panel.type.pointee == _F32 and rows > 4:
        _fetch(builder, panel, builder.add(at, _I64(_AHEAD)))
    numbers = [builder.load(builder.gep(x, [builder.add(builder.mul(inner, _I64(r)), i)])) for r in range(rows)]
    new = [builder.call(multiply_add, [weights, _spread(builder, n), s]) for n, s in zip(numbers, sums, strict=True)]
    following = builder.add(i, _I64(1))
    i.add_incoming(_I64(0), before)
    i.add_incoming(following, loop)
    for total, more in zip(sums, new, strict=True):
        total.add_incoming(_ZEROS, before)
        total.add_incoming(more, loop)
    builder.cbranch(builder.icmp_signed("<", following, inner), loop, after)
    builder.position_at_end(after)
    return new


def _store(builder: ir.IRBuilder, sums: list[ir.Value], y: ir.Value, out: ir.Value, adds: ir.Value) -> None:
    for r, total in enumerate(sums):
        place = builder.bitcast(builder.gep(y, [builder.mul(out, _I64(r))]), _LANES_F32.as_pointer())
        there = builder.load(place)
        there.align = 4
        builder.store(builder.fadd(total, builder.select(adds, there, _ZEROS)), place).align = 4


def _load(builder: ir.IRBuilder, panel: ir.Value, at: ir.Value) -> ir.Value:
    """16 weights from element `at` on, as fp32."""
    half = panel.type.pointee == _I16
    value = builder.load(builder.bitcast(builder.gep(panel, [at]), (_LANES_I16 if half else _LANES_F32).as_pointer()))
    value.align = 2 if half else 4
    if not half:
        return value
    sixteen = ir.Constant(_LANES_I32, [16] * LANES)
    return builder.bitcast(builder.shl(builder.zext(value, _LANES_I32), sixteen), _LANES_F32)


def _fetch(builder: ir.IRBuilder, panel: ir.Value, at: ir.Value) -> None:
    """Have the weights from element `at` on brought from memory while others are multiplied."""
    bytes_ = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [bytes_, _I32, _I32, _I32])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(prefetch, [builder.bitcast(builder.gep(panel, [at]), bytes_), _I32(0), _I32(3), _I32(1)])


def _spread(builder: ir.IRBuilder, number: ir.Value) -> ir.Value:
    """A number in every lane."""
    nothing = ir.Constant(_LANES_F32, ir.Undefined)
    one = builder.insert_element(nothing, number, _I32(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_LANES_I32, [0] * LANES))


tile: Any = intrinsic(_tile)


@helper
def product(w, x, y, rows, inner, out, first, last, add, half):  # type: ignore[no-untyped-def]
    """Panels `first` to `last` of y[rows, out] = x[rows, inner] · W, or added to it; addresses."""
    size = inner * (32 if half else 64)
    for p in range(first, last):
        for r in range(0, rows, HEIGHT):
            at, count = r * inner * 4, min(HEIGHT, rows - r)
            tile(w + p * size, x + at, y + p * 64 + r * out * 4, count, inner, out, add, half)


_I = types.int64


@jit(types.void(_I, _I, _I, _I, _I, _I, _I, _I, _I))
def _multiply(w, x, y, rows, inner, out, half, first, last):  # type: ignore[no-untyped-def]
    product(w, x, y, rows, inner, out, first, last, 0, half)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(machine.cores(), thread_name_prefix="kernels")


def in_shares(kernel: Callable[..., None], arguments: tuple[Any, ...], count: int, work: int) -> None:
    """kernel(*arguments, first, last) for `count` things, on as many threads as PyTorch has where `work` is worth it.

    `work` is in numbers that are worked on; in a product each counts once for every row.
    """
    threads = torch.get_num_threads() if work >= _WORTH_SHARING else 1
    shares = [(count * thread // threads, count * (thread + 1) // threads) for thread in range(threads)]
    others = [_pool().submit(kernel, *arguments, *share) for share in shares[1:]]
    kernel(*arguments, *shares[0])
    for other in others:
        other.result()


def multiply(x_NI: Tensor, panels: Tensor, outputs: int) -> Tensor:
    """x @ weightᵀ, fp32 [N, O], of fp32 x and a packed weight."""
    x_NI = x_NI.contiguous()
    rows, inner = x_NI.shape
    wide = len(panels) * LANES
    y = torch.empty(rows, wide)
    addresses = panels.data_ptr(), x_NI.data_ptr(), y.data_ptr()
    arguments = (*addresses, rows, inner, wide, int(panels.dtype == torch.bfloat16))
    in_shares(_multiply, arguments, len(panels), rows * panels.numel())
    return y[:, :outputs]
