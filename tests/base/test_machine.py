"""What the machine does for a stage's memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, sys
from tilth.base import machine

def faults(bytes=48 * 2**20, times=10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        block = bytearray(bytes)
        block[::4096] = b"x" * len(block[::4096])
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    machine.keep_memory()
held = bytearray(2**20)  # so that the top of the heap is not all that there is
faults(times=1)
print(faults())
machine.release_memory()
print(faults(times=1))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of another C library is left alone")
def test_kept_memory_is_cleared_by_the_system_once_and_given_back_when_asked() -> None:
    def measured(how: str) -> list[int]:
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return [int(line) for line in done.stdout.split()]

    usual, kept = measured("as it is"), measured("keep")
    assert kept[0] < usual[0] / 5, "ten blocks in the same memory cost hardly a page"
    assert kept[1] > kept[0], "after a release the pages are new again"
