"""A torn file in the compiler's cache: training says so and goes on; other errors are not taken for one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.phases import digest, phase, train
from tilth.base.machine import cpp_compiler
from tilth.training.compiling import CACHE, torn_file

ROOT = Path(__file__).parents[2]
SETTINGS = phase(2, precision="fp32", compile="on")


def run(folder: Path, cache: Path) -> str:
    """Train in a process of its own; what it says."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1", CACHE: str(cache)}
    command = [sys.executable, "-m", "tests.training.test_compiling", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.skipif(cpp_compiler() is None, reason="no C++ compiler")
def test_torn_files_of_the_compilers_cache_are_passed_over(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert "torn" not in run(tmp_path / "first", cache)
    (victim, *_) = sorted(cache.glob("*/*.main.so"))
    os.truncate(victim, 0)
    said = run(tmp_path / "second", cache)
    assert f"warning: {victim} was left torn" in said
    assert not victim.exists()
    assert digest(tmp_path / "second") == digest(tmp_path / "first")


def test_only_files_of_the_cache_are_taken_for_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    wrapped = RuntimeError("the compiler failed")
    wrapped.__cause__ = ImportError(f"{tmp_path}/ab/cd.main.so: file too short")
    assert torn_file(wrapped) == tmp_path / "ab" / "cd.main.so"
    assert torn_file(OSError(f"{tmp_path}/ab/cd.so: invalid ELF header")) == tmp_path / "ab" / "cd.so"
    assert torn_file(ImportError("/elsewhere/cd.so: file too short")) is None
    assert torn_file(OSError(28, "No space left on device", f"{tmp_path}/ab/cd.so")) is None
    assert torn_file(RuntimeError(f"{tmp_path}/ab/cd.so")) is None


if __name__ == "__main__":
    train(Path(sys.argv[1]), SETTINGS)
