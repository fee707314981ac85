"""What this machine is and what a piece of work used: the part of a run that is measured, never fingerprinted."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import resource
import shutil
import sys
import time
from typing import Any

_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of one unit of ru_maxrss."""


def describe() -> dict[str, Any]:
    """Processor, cores, memory and versions, as plain values."""
    return {
        "host": platform.node(),
        "processor": _processor(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Physical memory in bytes, or the container's limit where that is lower."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as handle:
            limit = handle.read().strip()
        return min(physical, int(limit)) if limit != "max" else physical
    except OSError:
        return physical


def available_bytes() -> int:
    """Bytes of memory that could still be had without swapping; all of it where that is not known."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return min(int(line.split()[1]) * 1024, memory_bytes())
    except OSError:
        pass
    return memory_bytes()


def processor_flags() -> set[str]:
    """Instruction-set names of the processor (empty where the system does not tell)."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return set()


def fast_bf16() -> bool:
    """Whether the processor multiplies bf16 matrices faster than fp32 ones."""
    return bool(processor_flags() & {"avx512_bf16", "amx_bf16"})


def cpp_compiler() -> str | None:
    """The C++ compiler that torch.compile would find (`CXX`, g++ or clang++), or None."""
    return next((name for name in (os.environ.get("CXX", "g++"), "g++", "clang++") if shutil.which(name)), None)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def keep_memory(block: int = 2**28, heap: int = -1) -> None:
    """Have glibc keep freed memory, of blocks up to so many bytes, for whoever asks next, until `release_memory`; free
    memory of more than `heap` bytes at the heap's end is given back (-1: never).

    By default it returns every large block at once, and the system clears its pages again a moment later: measured on
    two cores, 7 % of the time of a small model's training step and 20 % of an evaluation.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, block)
        library.mallopt(trim_threshold, heap)


def release_memory() -> None:
    """Give freed memory back to the system (glibc keeps it otherwise): what one stage used is not the next one's."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Meter:
    """Wall and CPU seconds (children included), peak memory and the load before, of one piece of work."""

    def __init__(self) -> None:
        self.load_before = os.getloadavg()[0]
        self._wall, self._cpu = time.monotonic(), _cpu_seconds()
        self._children_peak = _children_peak()
        _forget_peak()

    def read(self) -> dict[str, float]:
        """The figures since the meter was made; peak memory is of the largest single process."""
        return {
            "wall_seconds": round(time.monotonic() - self._wall, 3),
            "cpu_seconds": round(_cpu_seconds() - self._cpu, 3),
            "peak_memory_bytes": max(_peak_memory(), self._new_children_peak()),
            "load_before": round(self.load_before, 2),
        }

    def _new_children_peak(self) -> int:
        """The largest child's peak, if it was reached since the meter was made (the system keeps only the maximum)."""
        peak = _children_peak()
        return peak if peak > self._children_peak else 0


def _forget_peak() -> None:
    """Start this process's peak anew, where the system can (Linux: clear_refs)."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as handle:
        handle.write("5")


def _peak_memory() -> int:
    """Most bytes resident in this process since `_forget_peak` (since its start, where that is not known)."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _children_peak() -> int:
    """Most bytes resident in any child that has ended, since this process started."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNIT


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
