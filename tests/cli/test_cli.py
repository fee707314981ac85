from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.pipeline.conftest import tilth
from tilth import __version__ as tilth_version
from tilth.pipeline.recipe import load_recipe

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
    assert (
        facts["figures"]["parameters"]["value"]
        == 2 * v * h + (2 * layers + 1) * h + 4 * layers * h * h + 3 * layers * h * f
    )


def test_plan_size_of_a_recipe_takes_the_length_and_explains(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "corpus: {sources: [x]}\ntokenizer: {vocabulary: 1000}\nmodel: {hidden: 64, layers: 2, heads: 2}\n"
        "pretrain: [{name: main, tokens: 1M, sequence_length: 256}]\n"
    )
    short, long = (json.loads(tilth("plan", "size", recipe, "--length", n, "--json").stdout) for n in (77, 770))
    assert short["title"].endswith("T = 77")
    causal = [one["figures"].pop("FLOP a token, causal")["value"] for one in (short, long)]
    assert causal[1] - causal[0] == 6 * 2 * 64 * (770 - 77)
    phase = [
        {name: one for name, one in told["figures"].items() if name.startswith("main: ")} for told in (short, long)
    ]
    assert phase[0] == phase[1]  # at the phase's own length
    in_all = phase[0].pop("main: memory in all")["value"]
    assert in_all == sum(one["value"] for one in phase[0].values() if one["unit"] == "B")
    assert all(one["formula"] and one["source"] for one in short["figures"].values())
    matrices = 2 * (4 * 64 * 64 + 3 * 64 * 192)  # of two layers: 106,496
    count = short["figures"]["parameters"]["value"]
    assert short["figures"]["main: optimizer"]["formula"].startswith(f"8 x {count:,} - 4 x {matrices:,} ")
    assert short["figures"]["main: optimizer"]["value"] == 8 * count - 4 * matrices
    told = tilth("plan", "size", recipe, "--explain").stdout
    assert "= 6 x" in told
    assert "at T = 256" in told


def test_version():
    done = tilth("--version")
    assert (done.returncode, done.stdout) == (0, f"tilth {tilth_version}\n")


def test_home_is_where_a_tilde_says(tmp_path, monkeypatch):
    """In options, quoted arguments, and every path of a recipe."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("base", "tokenizer"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    done = tilth("corpus", "~/a.jsonl", "--out=~/corpus", "--workers=1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["folder"].startswith(f"{tmp_path}/corpus/")
    (tmp_path / "r.yaml").write_text(
        "base: ~/base\ntokenizer: {load: ~/tokenizer}\npretrain: []\n"
        "corpus: {sources: [{path: ~/a.jsonl}], decontaminate: {against: [~/b.jsonl]}}\n"
        "posttrain: [{name: s, kind: sft, data: [{path: ~/c.jsonl}]}]\nevaluate: {tasks: [{path: ~/d.jsonl}]}\n"
    )
    recipe = load_recipe(tmp_path / "r.yaml")
    assert (recipe.base, recipe.tokenizer.load) == (tmp_path / "base", tmp_path / "tokenizer")
    paths = [recipe.corpus.sources[0].path, *recipe.corpus.decontaminate.against]
    paths += [recipe.posttrain[0].data[0].path, recipe.evaluate.tasks[0].path]
    assert paths == [f"{tmp_path}/{name}.jsonl" for name in "abcd"]


@pytest.mark.parametrize("module", ["typer", "tilth.pipeline.run"])
def test_ctrl_c_while_anything_is_loaded_is_one_quiet_line(module):
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # what runs the tests may have it ignored
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            print('here', flush=True)\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from tilth.cli.main import main\n"
        "main(['run', 'nowhere.yaml'])\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.strip() == "tilth: stopped; the same command goes on with what was finished"
