"""A finished run once more, to the bit."""

from __future__ import annotations

import json
from pathlib import Path

from tests.pipeline.conftest import tilth


def test_a_run_is_repeated_to_the_bit_and_a_difference_is_named(tiny: Path, tmp_path: Path) -> None:
    done = tilth("run", tiny, "--runs", tmp_path / "runs", "--until", "pretrain-annealing", "--json")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "tiny"
    told = tilth("repeat", run, "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert [(one["stage"], one["same"]) for one in found] == [("pretrain-stable", True), ("pretrain-annealing", True)]
    assert not any(one["environment"] for one in found)
    assert not (run / ".repeat").exists()

    (artifact,) = run.glob("pretrain-stable-*/artifact.json")
    described = json.loads(artifact.read_text())
    described["files"]["model.safetensors"] = "0" * 64
    artifact.write_text(json.dumps(described))
    conditions = artifact.with_name("conditions.json")
    text = conditions.read_text()
    conditions.write_text(text.replace('"threads": 1', '"threads": 3'))
    told = tilth("repeat", run)
    assert told.returncode == 1
    lines = told.stdout.splitlines()
    assert lines[0] == "pretrain-stable: threads was 3, is 1"
    assert lines[1] == "pretrain-stable: different: model.safetensors"
