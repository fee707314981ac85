"""Stages whose output changed must raise their VERSION: the same version must give the same bytes.

Compared with tests/golden/artifacts.json, recorded with the pinned packages; weights are left out, since their last
bits depend on the processor. `pytest tests/pipeline/test_golden.py --record-golden` records anew.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from tests.pipeline.conftest import tilth

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "artifacts.json"
PACKAGES = ("pyarrow", "tokenizers", "numpy")


def test_a_changed_output_has_a_new_version(tiny, tmp_path, request):
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    done = tilth("run", tiny, "--runs", tmp_path / "runs", "--until", "pack-holdout-T64", "--json")
    assert done.returncode == 0, done.stderr
    found = {}
    for file in sorted((tmp_path / "runs" / "tiny").glob("*/artifact.json")):
        artifact = json.loads(file.read_text())
        steps = artifact["settings"].get("versions", artifact["settings"].get("steps", []))
        found[artifact["stage"]] = {"version": artifact["version"], "steps": steps, "files": artifact["files"]}
    assert set(found) >= {"synthesize", "measure", "corpus", "tokenizer", "tokens"}
    if request.config.getoption("--record-golden"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps({"packages": versions, "stages": found}, indent=1, ensure_ascii=False) + "\n")
    golden = json.loads(GOLDEN.read_text())
    if golden["packages"] != versions:
        pytest.skip(f"recorded with {golden['packages']}, here are {versions}")
    for name, stage in golden["stages"].items():
        version = (stage["version"], stage["steps"])
        if version == (found[name]["version"], found[name]["steps"]):
            changed = {
                f for f in stage["files"] | found[name]["files"] if stage["files"].get(f) != found[name]["files"].get(f)
            }
            assert not changed, (
                f"{name}: {sorted(changed)} changed, but VERSION did not; raise it, then --record-golden"
            )
        else:
            pytest.fail(f"{name} has a new version: record it with --record-golden")
