from __future__ import annotations

import json

import pytest

from tests.pipeline.conftest import tilth

COMMANDS = ["run", "report", "corpus", "look", "doctor", "tokenizer encode", "tokenizer inspect", "plan size"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_a_worked_example(command):
    done = tilth(*command.split(), "--help")
    assert done.returncode == 0
    assert "Example:" in done.stdout
    assert f"tilth {command}" in done.stdout


def test_an_unknown_command_and_a_missing_file_are_the_users():
    for arguments in (["rnu"], ["run"], ["run", "nowhere.yaml"], ["report", "nowhere"], ["look", "nowhere"],
                      ["tokenizer", "inspect", "nowhere"]):  # fmt: skip
        done = tilth(*arguments)
        assert done.returncode == 2, arguments
        assert "Traceback" not in done.stderr


def test_doctor_says_what_is_here():
    done = tilth("doctor")
    assert done.returncode == 0
    assert "torch" in done.stdout


def test_plan_size_is_the_formula(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "corpus: {sources: [x]}\ntokenizer: {vocabulary: 1000}\n"
        "model: {hidden: 64, layers: 2, heads: 2, intermediate: 128, qk_norm: false, tie_embeddings: false}\n"
        "pretrain: [{name: main, tokens: 1M}]\n"
    )
    facts = json.loads(tilth("plan", "size", recipe, "--json").stdout)
    h, layers, v, f = 64, 2, 1000, 128
    assert facts["parameters"] == 2 * v * h + (2 * layers + 1) * h + 4 * layers * h * h + 3 * layers * h * f
