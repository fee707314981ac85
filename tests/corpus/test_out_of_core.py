"""A gigabyte through near-deduplication in bounded memory, by one worker and two, killed ten times: the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_a_gigabyte_in_bounded_memory_killed_ten_times(real_data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/out_of_core.py", str(real_data / "pretrain"), str(tmp_path)]
    command += ["--gigabytes", "1", "--result", str(tmp_path / "result.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["killed"]["kills"] == 10
    assert result["one"]["planted"]["of_these_not_planted"] <= 0.001 * result["input"]["documents"]
