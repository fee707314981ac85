"""The one file that knows which device this is: choice, precision, threads, compiler, memory, determinism."""

from __future__ import annotations

import functools
import os
import platform
import resource
import sys
from typing import Any

import torch

from tilth.base import machine
from tilth.base.errors import UserError, nearest
from tilth.laws.data_sheets import half_precision_peak
from tilth.model.products import product_speed
from tilth.training.settings import ComputeSettings, PhaseSettings, decided

_DTYPES = {
    **{"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32, "fp64": torch.float64},
    "fp8": torch.bfloat16,  # of all that stands around the products in 8 bits
}


def kind(name: str) -> str:
    """Of the device called `name`, without taking it into use; `auto`: cuda, else mps, else cpu."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name not in ("auto", *found):
        raise UserError(f"there is no device called {name!r}", hint=nearest(name, ("auto", *found)))
    if name == "auto":
        name = next(kind for kind, there in found.items() if there)
    if not found[name]:
        raise UserError(f"there is no {name} device here", hint="use auto or cpu")
    return name


def choose(name: str, local_rank: int = 0) -> torch.device:
    """The device called `name`, from now on this process's."""
    name = kind(name)
    if name == "cuda":
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)
    return torch.device(name)


def prepare(settings: ComputeSettings, device: torch.device) -> int:
    """Set threads (cores are shared by the ranks of this machine), memory and determinism; returns the threads."""
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    threads = settings.threads or max(1, machine.cores() // neighbours)
    torch.set_num_threads(threads)
    machine.keep_memory()
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=device.type != "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return threads


def precision(wanted: str, device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """Dtype of the parameters and of the products, for a setting `auto`, `bf16`, `fp16`, `fp32`, `fp64` or `fp8`."""
    products = _DTYPES[decided(wanted, lambda: fast_bf16(device))]
    return torch.promote_types(products, torch.float32), products


def check_float8(device: torch.device) -> None:
    """Raise `UserError` unless the device can multiply 8-bit floats; a CPU does it for trials, in fp32."""
    if device.type == "cuda" and torch.version.hip is None:
        major, minor = torch.cuda.get_device_capability(device)
        if (major, minor) < (8, 9):
            name = torch.cuda.get_device_name(device)
            raise UserError(
                f"fp8 wants a GPU of compute capability 8.9 (Ada, Hopper, later ones); {name} has {major}.{minor}",
                hint="set precision: bf16",
            )
    elif device.type != "cpu":
        raise UserError(f"fp8 is not there on {device.type} devices here", hint="set precision: bf16")


def fast_bf16(device: torch.device) -> bool:
    """Whether products in bf16 are faster here than in fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0) or torch.version.hip is not None
    return device.type == "cpu" and machine.fast_bf16()


def compiles(settings: PhaseSettings, device: torch.device) -> bool:
    """Whether to compile: as set, or when there is a compiler and the phase is long enough to earn it back."""
    if settings.compile == "on" and not compiler_found(device):
        raise UserError("compile: no C++ compiler is found here", hint="install g++ or clang, or set compile: off")
    return settings.compiled(lambda: compiler_found(device))


def compiler_found(device: torch.device) -> bool:
    """torch.compile needs a C++ compiler for the CPU and Triton for CUDA."""
    if device.type == "cpu":
        return machine.cpp_compiler() is not None
    return device.type == "cuda" and torch.utils._triton.has_triton()


def gpu_bytes() -> int:
    """Memory of the first CUDA device, of which `kind` has said that it is there."""
    return torch.cuda.get_device_properties(0).total_memory


def peak_memory(device: torch.device) -> int:
    """Most bytes in use so far: of the device's allocator, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_flops(device: torch.device, products: torch.dtype) -> float | None:
    """FLOP/s that MFU is measured by: a GPU's data sheet (half precision), or what products reach on this CPU.

    None where it is not known: in fp64, on MPS, on a GPU that stands in no table here.
    """
    if device.type == "cuda" and products in (torch.bfloat16, torch.float16):
        return half_precision_peak(torch.cuda.get_device_name(device))
    if device.type == "cpu" and products in (torch.bfloat16, torch.float32):
        return _measured_peak(products, torch.get_num_threads())
    return None


@functools.cache
def _measured_peak(products: torch.dtype, threads: int) -> float:
    return product_speed(products, runs=10)


def conditions(device: torch.device, threads: int, compiled: bool, products: torch.dtype) -> dict[str, Any]:
    """All that may change the last bits of the result, for the manifest."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": f"{device.type} {name}",
        "threads": threads,
        "compiled": compiled,
        "products": str(products).removeprefix("torch."),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
