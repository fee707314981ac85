"""A recipe that goes the whole way in seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TINY = """\
seed: 3
synthesize:
  - {kind: stories, documents: 240}
  - {kind: arithmetic, documents: 400}
corpus:
  sources:
    - {path: "notes/*.md", domain: notes}
    - {path: "records/*.jsonl", domain: "{stem}"}
  rules:
    - {set: gopher_repetition, where: domain == 'notes'}
  holdout: {fraction: 0.1}
tokenizer: {vocabulary: 500}
model: {hidden: 32, layers: 2, heads: 2, intermediate: 64}
pretrain:
  - {name: stable, tokens: 12k, sequence_length: 64, batch_sequences: 8, schedule: {warmup: 2k}}
  - name: annealing
    tokens: 6k
    sequence_length: 64
    batch_sequences: 8
    mixture: {stories: 1, arithmetic: 2}
    schedule: {shape: linear}
evaluate: {samples: {prompts: ["There was", "从前"], tokens: 8}}
compute: {threads: 1, workers: 1, checkpoint_steps: 4}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The recipe in a folder of its own, with a few notes and records to read."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "records").mkdir()
    for number in range(6):
        year = 1980 + number
        text = f"# Note {number}\n\nThe field number {number} was ploughed in the spring of {year}. 田里种了小麦。\n"
        (tmp_path / "notes" / f"note{number}.md").write_text(text * (1 + number), encoding="utf-8")
    lines = [
        json.dumps({"text": f"Record {i}: 第{i}块田，面积是 {i * 7} 亩。" * 4}, ensure_ascii=False) for i in range(30)
    ]
    lines[7] = '{"text": "broken'
    lines[9] = lines[8]
    (tmp_path / "records" / "fields.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return tmp_path / "tiny.yaml"


def command(*arguments: str | Path) -> list[str]:
    """A `tilth` command line of this interpreter."""
    return [sys.executable, "-m", "tilth.cli.main", *map(str, arguments)]


def tilth(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end."""
    environment = {**os.environ, "COLUMNS": "120"}
    return subprocess.run(command(*arguments), capture_output=True, text=True, cwd=cwd, env=environment, timeout=600)


def hashes(run_folder: Path) -> dict[str, Any]:
    """The deterministic part of every artifact: {stage folder: {file: hash}}."""
    artifacts = sorted(run_folder.glob("*/artifact.json"))
    return {file.parent.name: json.loads(file.read_text())["files"] for file in artifacts}
