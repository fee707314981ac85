"""Commands in the README are run, in both languages alike."""

from __future__ import annotations

import json
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
import zstandard

from tilth.synthesis.stories import WRITERS

ROOT = Path(__file__).resolve().parents[1]
SMALL_QUICKSTART = [
    "synthesize=[{kind: stories, documents: 300}, {kind: arithmetic, documents: 400}, {kind: people, documents: 300}, "
    "{kind: questions, documents: 300}]",
    "corpus.sources.0.include=[json/*.py]",
    "corpus.sources.1.include=[json/*.py, argparse.py, typing.py, random.py, asyncio/*.py, pydoc_data/topics.py]",
    "tokenizer.vocabulary=600",
    "model={hidden: 32, layers: 1, heads: 2}",
    *(f"pretrain.{phase}.tokens=9k" for phase in ("warmup", "stable", "annealing")),
    *(f"pretrain.{phase}.max_epochs=1000" for phase in ("warmup", "stable", "annealing")),
    *(f"posttrain.{step}.tokens=9k" for step in ("sft", "dpo")),
    *(f"posttrain.{step}.data.0.count=200" for step in ("sft", "dpo")),
    "evaluate.tasks.0.count=2",
    "compute={threads: 1, workers: 1}",
]
SMALL_OWN = [
    "tokenizer.vocabulary=400",
    "model={hidden: 32, layers: 1, heads: 2}",
    "pretrain.main.sequence_length=64",
    "pretrain.main.max_epochs=1000",
    "compute={threads: 1, workers: 1}",
]


def blocks(readme: str, language: str) -> list[str]:
    text = (ROOT / readme).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def without_comments(code: str) -> str:
    return re.sub(r"\s+#.*", "", code)


@pytest.mark.parametrize("language", ["bash", "yaml", "python"])
def test_both_languages_show_the_same_code(language):
    english, chinese = (list(map(without_comments, blocks(name, language))) for name in ("README.md", "README.zh.md"))
    assert english == chinese
    assert english


def shell(line: str, folder: Path) -> str:
    """Run a documented line with this interpreter's tilth, as a reader's shell would."""
    tilth = f"{shlex.quote(sys.executable)} -m tilth.cli.main"
    line = re.sub(r"^(\.venv/bin/)?tilth ", lambda _: f"{tilth} ", line)
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


def commands(readme: str) -> list[str]:
    lines = [line for block in blocks(readme, "bash") for line in without_comments(block).splitlines()]
    return [line.strip() for line in lines if line.strip()]


def test_quickstart_commands(tmp_path):
    """The quickstart recipe, made small; then every line that the README shows after it."""
    lines = commands("README.md")
    assert lines[0] == "make quickstart"
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    small = " ".join(map(shlex.quote, SMALL_QUICKSTART))
    shell(f"tilth run recipes/quickstart.yaml {small}", tmp_path)
    shown = [line for line in lines if line.startswith(".venv/bin/tilth")]
    assert len(shown) >= 5
    for line in shown:
        assert shell(line, tmp_path).strip()
    snippet = blocks("README.md", "python")[0]
    pytest.importorskip("transformers")
    done = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_commands_for_ones_own_text(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "notes").mkdir()
    for name, language in (("farm", "en"), ("tian", "zh")):
        texts = (WRITERS[language](random.Random(i)) for i in range(400))
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
        (tmp_path / "data" / f"{name}.jsonl.zst").write_bytes(zstandard.compress("\n".join(lines).encode()))
    for i in range(5):
        (tmp_path / "notes" / f"n{i}.md").write_text(f"# Note {i}\n\nWheat grows on field {i}.\n" * 3, encoding="utf-8")
    (tmp_path / "my.yaml").write_text(blocks("README.md", "yaml")[0], encoding="utf-8")
    shown = [line for line in commands("README.md") if re.match(r"tilth (run my|corpus)", line)]
    assert len(shown) == 4
    small = " ".join(map(shlex.quote, SMALL_OWN))
    for line in shown:
        tokens = "" if "pretrain.main.tokens" in line else " pretrain.main.tokens=8k"
        line = line.replace("=40M", "=12k")
        shell(f"{line} {small}{tokens}" if line.startswith("tilth run") else line, tmp_path)


@pytest.mark.parametrize("page", ["recipe.md", "recipe.zh.md"])
def test_the_recipe_page_names_every_section_and_its_examples_are_valid(page):
    from tilth.base.settings import validate
    from tilth.pipeline.recipe import Recipe

    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for section in Recipe.model_fields:
        assert f"`{section}`" in text
    shown: dict[str, Any] = {}
    for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL):
        for section, value in yaml.safe_load(block).items():
            shown[section] = {**shown[section], **value} if section in shown else value
    assert validate(Recipe, {"name": "x", **shown}, source=page).pretrain


@pytest.mark.parametrize("page", ["corpus.md", "corpus.zh.md"])
def test_the_corpus_page_is_true(page, tmp_path):
    """Its files written down, its commands run in order; what it says became of each document did."""
    page = f"docs/{page}"
    (tmp_path / "raw").mkdir()
    pages, exam = blocks(page, "jsonl")
    (tmp_path / "raw" / "pages.jsonl").write_text(pages, encoding="utf-8")
    (tmp_path / "exam.jsonl").write_text(exam, encoding="utf-8")
    (settings,) = blocks(page, "yaml")
    (tmp_path / "corpus.yaml").write_text(settings, encoding="utf-8")
    told = [shell(line, tmp_path) for line in commands(page)]
    rejected = json.loads(shell("tilth look corpus --rejected all --json", tmp_path))
    reasons = {row["id"]: (row["rule"], row["partner"]) for row in rejected}
    assert reasons.keys() == {"bridge-copy", "tea-again", "spam", "short"}
    assert reasons["bridge-copy"] == ("near_duplicate", "bridge")
    assert reasons["tea-again"] == ("same_text", "tea")
    kept = shell("tilth look corpus --sample 9 --json", tmp_path)
    assert all(part in kept for part in ("[EMAIL]", "[PHONE]"))
    assert not any(part in kept for part in ("Click here", "Share on", "nine rows of tomatoes", "13912345678"))
    assert "benchmark_item" in told[3]
    assert "茶农" in told[5]


def test_both_languages_of_the_corpus_page_show_the_same():
    for language in ("jsonl", "yaml", "bash"):
        assert blocks("docs/corpus.md", language) == blocks("docs/corpus.zh.md", language)
