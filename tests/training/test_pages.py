"""docs/training.md in both languages; the Slurm script and the Dockerfile."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.test_docs import blocks, commands, shell, without_comments
from tilth.training import PhaseSettings
from tilth.training.control import Control
from tilth.training.faults import parse_faults

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["docs/training.md", "docs/training.zh.md"])
def test_what_the_page_shows_is_true(page: str, tmp_path: Path) -> None:
    told = [shell(line, tmp_path) for line in commands(page)]
    assert "may be another on resume" in told[0]
    assert len(told) == 2
    ramp, control = blocks(page, "yaml")
    phase = PhaseSettings.model_validate({"tokens": "100M", **yaml.safe_load(ramp)})
    assert [stretch.sequences for stretch in phase.batches.stretches] == [16, 32, 64]
    assert Control.model_validate(yaml.safe_load(control)).save
    (faults,) = re.findall(r"`(kill@[^`]*)`", (ROOT / page).read_text(encoding="utf-8"))
    assert len(parse_faults(faults)) == 6


def test_both_languages_show_the_same() -> None:
    for language in ("bash", "yaml"):
        english, chinese = (blocks(f"docs/training{ending}", language) for ending in (".md", ".zh.md"))
        assert list(map(without_comments, english)) == list(map(without_comments, chinese))


def test_the_cluster_files_are_well_formed() -> None:
    script = ROOT / "recipes" / "cluster" / "tilth.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", s) for s in re.findall("#SBATCH.*", script.read_text()))
    docker = (ROOT / "recipes" / "cluster" / "Dockerfile").read_text()
    known = {"FROM", "RUN", "WORKDIR", "COPY", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    lines = [line for line in docker.splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in lines} <= known
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert all((ROOT / name).exists() for name in copied)
