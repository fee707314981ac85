"""The page about laws: its runs written, its commands run, in both languages alike."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.test_docs import blocks, commands, shell


@pytest.mark.parametrize("language", ["python", "bash"])
def test_both_languages_show_the_same(language):
    assert blocks("docs/laws.md", language) == blocks("docs/laws.zh.md", language)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laws")
    (program,) = blocks("docs/laws.md", "python")
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    return folder


def test_its_commands_run(runs):
    lines = commands("docs/laws.md")
    assert len(lines) == 13
    told = {line: shell(line, runs) for line in lines}
    assert all(text.strip() for text in told.values())
    kept = json.loads((runs / "chinchilla.json").read_text(encoding="utf-8"))
    for name, true in {"E": 1.8172, "alpha": 0.3478, "beta": 0.3658}.items():
        low, high = kept["intervals"][name]
        assert low - 0.01 <= true <= high + 0.01
    assert kept["counting"] == "all"
    assert kept["optimum"]["tokens_per_parameter"]["interval"]
    for name in ("chinchilla", "isoflop", "envelope", "critical", "mixing"):
        drawing = (runs / f"{name}.svg").read_text(encoding="utf-8")
        assert drawing.startswith("<svg xmlns")
        assert drawing.count("<polyline") >= 1
        measured = {"chinchilla": 64, "critical": 4}.get(name, 0)  # one point a run
        assert drawing.count("<circle") >= measured
        assert drawing.rstrip().endswith("</svg>")
    ratio = json.loads(shell("tilth fit critical continual.csv --base 2.8734 --json", runs))["critical_ratio"]
    assert ratio["value"] == pytest.approx(0.283, abs=0.001)


def test_a_bad_file_is_told_by_line_and_column(runs):
    def refused(arguments: str) -> str:
        command = [sys.executable, "-m", "tilth.cli.main", "fit", *arguments.split()]
        done = subprocess.run(command, cwd=runs, capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        return done.stderr

    (runs / "bad.csv").write_text("N,D,loss\n1e8,1e9,3.1\n1e8,lots,3.0\n", encoding="utf-8")
    assert "bad.csv:3: column 'D': expected a number, found 'lots'" in refused("chinchilla bad.csv")
    assert "no column 'los'" in refused("chinchilla bad.csv --loss los")
    assert "there is no such file" in refused("chinchilla none.csv")
    assert "no way of counting" in refused("chinchilla runs.csv --counting some")
    (runs / "few.csv").write_text("N,D,loss\n1e8,1e9,3.1\n", encoding="utf-8")
    assert "1 points cannot determine the 5 parameters" in refused("chinchilla few.csv --out few.json")
    assert not (runs / "few.json").exists()
