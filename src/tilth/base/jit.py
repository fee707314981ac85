"""The one place where numba is called: a typed `jit`, and the array types of the kernels' arguments.

Every kernel is compiled for exactly one list of argument types, ahead of its first call and cached on disk, so that
nothing is specialised by accident and a wrong type is an error instead of a slow path. Arrow buffers are read-only:
their types say so, and writable arrays are accepted for them too.

numba's cache notices a change of a kernel's own file only, not of the helpers that it was compiled with: a stale kernel
would give wrong results without a word. So the cache lies in a folder named after the content of all files beside the
kernel, and of this one; a kernel outside the package may have helpers from anywhere in it, and so all its files count.

numba promotes silently: uint64 with int64 gives float64. Kernels therefore keep hashes in uint64 arrays and
uint64 constants (made with `np.uint64`), and never mix them with Python integers.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

Kernel = Callable[..., Any]
_CONFIG: Any = numba.config


@functools.cache
def _cache_folder(here: Path) -> str:
    """Where the kernels of a folder are kept: by the content of the files that may be part of them."""
    package = Path(__file__).parent.parent
    files = {*here.glob("*.py"), Path(__file__)}
    if package not in here.parents:
        files |= {*package.rglob("*.py")}
    content = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:16]
    if _CONFIG.CACHE_DIR:
        return str(Path(_CONFIG.CACHE_DIR) / content)
    if os.access(here, os.W_OK):
        return str(here / "__pycache__" / content)
    return str(Path.home() / ".cache" / "tilth" / "kernels" / content)


def jit(signature: Any) -> Callable[[Kernel], Kernel]:
    """Compile for one signature, without the interpreter lock, and keep the result on disk."""

    def decorate(function: Kernel) -> Kernel:
        before = _CONFIG.CACHE_DIR
        _CONFIG.CACHE_DIR = _cache_folder(Path(function.__code__.co_filename).parent)
        try:
            compiled: Kernel = numba.njit(signature, cache=True, nogil=True, error_model="numpy")(function)
        finally:
            _CONFIG.CACHE_DIR = before
        return compiled

    return decorate


def helper(function: Kernel) -> Kernel:
    """A function that kernels call, compiled into them for the types that it is called with."""
    compiled: Kernel = numba.njit(nogil=True, error_model="numpy")(function)
    return compiled


def inlined(function: Kernel) -> Kernel:
    """A helper that becomes part of whatever calls it: where a call would cost as much as what it does."""
    compiled: Kernel = numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)
    return compiled


def summing(function: Kernel) -> Kernel:
    """A helper whose sums may be taken in any order, which is what makes them work for vector registers."""
    compiled: Kernel = numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})(function)
    return compiled


def _pointer(context: Any, array: Any) -> Any:
    """pointer(array): where the items of a contiguous array are, for kernels and helpers to index.

    numba counts references to every array that a helper is given, atomically, which costs more than most helpers do;
    a pointer is a plain number. Whoever calls the kernel keeps the array alive; indices are not checked.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, values[0]).data

    return types.CPointer(array.dtype)(array), generate


def _pointers(context: Any, arrays: Any) -> Any:
    """pointers(arrays): the same for every array of a tuple."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        places = [
            context.make_array(kind)(context, builder, builder.extract_value(values[0], i)).data
            for i, kind in enumerate(signature.args[0])
        ]
        return context.make_tuple(builder, signature.return_type, places)

    return types.Tuple([types.CPointer(array.dtype) for array in arrays])(arrays), generate


def _read_eight(context: Any, pointer: Any, at: Any) -> Any:
    """read_eight(pointer, at): the eight bytes from position `at` on, aligned or not, as a little-endian uint64."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.gep(values[0], [values[1]])
        value = builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()))
        value.align = 1
        return value

    return types.uint64(pointer, types.int64), generate


def _trailing_zeros(context: Any, value: Any) -> Any:
    """trailing_zeros(value): how many of the lowest bits of a uint64 are zero, as int64; 64 of 0."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


pointer: Kernel = intrinsic(_pointer)
pointers: Kernel = intrinsic(_pointers)
read_eight: Kernel = intrinsic(_read_eight)
trailing_zeros: Kernel = intrinsic(_trailing_zeros)


def _read(dtype: Any, dimensions: int = 1) -> Any:
    return types.Array(dtype, dimensions, "C", readonly=True)


def _write(dtype: Any, dimensions: int = 1) -> Any:
    return types.Array(dtype, dimensions, "C")


void, boolean, int64, uint32, uint64 = types.void, types.boolean, types.int64, types.uint32, types.uint64

BYTES = _read(types.uint8)
"""uint8 [bytes]: the data buffer of the strings."""
OFFSETS = _read(types.int64)
"""int64 [N + 1]: where each string starts and ends."""
READ_U8, READ_U16, READ_U32, READ_U64, READ_I32, READ_I64 = map(
    _read, (types.uint8, types.uint16, types.uint32, types.uint64, types.int32, types.int64)
)
READ_I32_2D, READ_U32_2D, READ_I64_2D, READ_U64_2D = (
    _read(dtype, 2) for dtype in (types.int32, types.uint32, types.int64, types.uint64)
)
WRITE_BOOL, WRITE_U8, WRITE_U32, WRITE_U64, WRITE_I32, WRITE_I64, WRITE_F64 = map(
    _write, (types.boolean, types.uint8, types.uint32, types.uint64, types.int32, types.int64, types.float64)
)
WRITE_U32_2D, WRITE_U64_2D, WRITE_I64_2D, WRITE_F64_2D = (
    _write(dtype, 2) for dtype in (types.uint32, types.uint64, types.int64, types.float64)
)
