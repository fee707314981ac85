"""What is wrong with what `tilth plan` is given is told in one sentence, exit status 2; --help says what may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tilth.laws.architectures import PUBLISHED
from tilth.pipeline.recipe import load_recipe
from tilth.planning.buy import Needs
from tilth.planning.cluster import DEVICES, Cluster

LLAMA = '{"model_type": "llama", "vocab_size": %s, "hidden_size": 8, "num_hidden_layers": 3, '
LLAMA += '"num_attention_heads": %s, "intermediate_size": 5}'
FILES = {
    "list.json": "[1]",
    "broken.json": "{",
    "lost.json": '{"model_type": "llama"}',
    "words.json": LLAMA % ('"a"', 2),
    "no-heads.json": LLAMA % (10, 0),
    "negative.json": LLAMA % (-10, 2),
    "null-wide.json": LLAMA.replace("5}", "null}") % (10, 2),
    "word-wide.json": LLAMA.replace("5}", '"11008"}') % (10, 2),
    "negative-wide.json": LLAMA.replace("5}", "-5}") % (10, 2),
    "lost-wide.json": LLAMA.replace("intermediate_size", "other") % (10, 2),
    "kind.json": '{"model_type": "大模型"}',
    "empty.json": "",
    "blank.json": " \n",
    "prose.json": "# My model\n",
    "deep.json": "[" * 100_000,
    "huge.json": LLAMA % (10**21, 2),
    "listed.json": '{"model_type": ["llama"]}',
    "experts.json": LLAMA.replace('"llama"', '"mixtral"').replace(
        "5}", '5, "num_local_experts": 2, "num_experts_per_tok": 4}'
    )
    % (10, 2),
    "kindless.json": '{"vocab_size": 10}',
    "uneven.json": LLAMA % (10, 3),
    "shares.json": LLAMA.replace("5}", '5, "num_key_value_heads": 3}') % (10, 4),
    "true.json": LLAMA % ("true", 2),
    "true.yaml": "devices: true\ndevice: H100-80G\n",
    "true-node.yaml": "devices: 8\ndevice: H100-80G\nper_node: true\n",
    "true-across.yaml": "devices: 8\ndevice: H100-80G\nacross: false\n",
    "priced.yaml": "devices: 8\ndevice: H100-80G\nprice_per_hour: 12\ncurrency: CNY\n",
    "plain.yaml": "devices: 8\ndevice: H100-80G\ncurrency: ''\n",
    "twice.yaml": "months: 12\nmonths: 24\n",
    "empty.yaml": "",
    "list.yaml": "- 1\n",
    "unknown.yaml": "devices: 8\ndevice: H100-80G\nfoo: 1\n",
    "few.yaml": "devices: -8\ndevice: H100-80G\n",
    "infinite.yaml": "devices: 8\nmemory: 80G\nflops: .inf\n",
    "brand.yaml": "devices: 8\ndevice: 华为\n",
    "needs.yaml": "foo: 1\n",
    "nan.yaml": "api_in: .nan\n",
}


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_tilth):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "folder.svg").mkdir()
    return lambda line: run_tilth("plan", *line.split())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("size list.json", "holds no object of fields"),
        ("size broken.json", "is not JSON"),
        ("memory lost.json", "num_attention_heads is missing"),
        ("memory words.json", "vocabulary is 'a': a whole number above 0 is expected"),
        ("layout no-heads.json", "a size is not a number above 0"),
        ("layout negative.json", "vocabulary is -10"),
        ("size null-wide.json", "intermediate is None: a whole number of at least 0 is expected"),
        ("memory word-wide.json", "intermediate is '11008': a whole number of at least 0 is expected"),
        ("layout negative-wide.json", "intermediate is -5: a whole number of at least 0 is expected"),
        ("size lost-wide.json", "intermediate_size is missing"),
        ("size kind.json", "model_type is '大模型'; known:"),
        ("size empty.json", "empty.json: the file is empty (a config.json as Hugging Face's is expected)"),
        ("size blank.json", "blank.json: the file is empty"),
        ("size prose.json", "prose.json: is not JSON"),
        ("size deep.json", "deep.json: is not JSON"),
        (
            "size huge.json",
            "vocabulary is 1000000000000000000000: a whole number above 0 and at most 1e+09 is expected",
        ),
        ("size listed.json", "model_type is ['llama']; known: bloom"),
        ("size experts.json", "experts.json: 4 of 2 experts cannot be active"),
        ("layout gpt2 --cluster plain.yaml", "plain.yaml:3: currency: expected 1 or more characters"),
        ("size kindless.json", "kindless.json: model_type is missing (a config.json"),
        ("size uneven.json", "uneven.json: a hidden size of 8 does not divide among 3 heads, and no head_dim is given"),
        ("memory shares.json", "shares.json: 4 heads cannot share 3 key-value heads evenly"),
        ("size true.json", "vocabulary is True: a whole number above 0 is expected"),
        ("scale --cluster true.yaml", "true.yaml:1: devices: expected a number, found True"),
        ("scale --cluster true-node.yaml", "true-node.yaml:3: per_node: expected a number, found True"),
        ("scale --cluster true-across.yaml", "true-across.yaml:3: across: expected a number, found False"),
        ("buy peak=true", "peak=true: expected a number"),
        ("buy twice.yaml", "twice.yaml:2: 'months' is set twice, first in line 1"),
        ("buy months=12 months=24", "plan buy: months is set twice (leave one of them out)"),
        ("size none.json", "there is no such file (a config.json"),
        ("size folder.svg", "there is no such file (a config.json"),
        ("size 模型", "no published model is called '模型'"),
        ("size GPT-2", "did you mean 'gpt2'? tilth plan size --help lists all; or give a .yaml or .json file"),
        (
            "layout gpt2 --cluster priced.yaml --currency USD",
            "--currency USD: the price in priced.yaml is in CNY, and is not converted (say --price-per-hour too)",
        ),
        ("buy months", "months has no value (write months=…, or name a file)"),
        ("scale --plot chart.png", "--plot: chart.png does not end in .svg (name it chart.svg)"),
        ("size gpt2 model.layers=3", "changes a recipe's settings"),
        ("memory gpt2 --logits nan", "--logits nan: expected between"),
        ("memory gpt2 --states 1/2", "expected P/G/O bytes"),
        ("layout gpt2 --states -1/2/3", "--states -1: expected between"),
        ("layout gpt2 --cluster empty.yaml", "the file is empty"),
        ("layout gpt2 --cluster list.yaml", "holds no settings"),
        ("scale --cluster unknown.yaml", "unknown.yaml:3: unknown setting 'foo'"),
        (
            "scale --cluster few.yaml",
            "few.yaml:1: devices: expected between 1 and 1e+07 devices, found -8 (for example 8)",
        ),
        ("cost 7B 140B --cluster infinite.yaml", "infinite.yaml:3: flops"),
        ("layout gpt2 --cluster brand.yaml", "no device is called '华为'"),
        ("layout gpt2 --device TPU", "no device is called 'TPU'"),
        ("layout gpt2 --tokens -1", "--tokens -1: expected"),
        ("layout gpt2 --batch nan", "--batch nan: expected"),
        ("layout gpt2 --price-per-hour nan", "--price-per-hour nan: expected"),
        ("scale --flops nan", "--flops nan: expected between"),
        ("scale --flops 0", "--flops 0: expected between"),
        ("scale --days inf", "--days inf: expected between"),
        ("scale --utilisation nan", "--utilisation nan: expected between"),
        ("scale --unique-tokens 0", "--unique-tokens 0: expected between"),
        ("scale --plot scale.png", "does not end in .svg"),
        ("scale --plot folder.svg", "folder.svg is a folder"),
        ("cost 0 140B", "PARAMETERS 0: expected between"),
        ("cost 7B many", "expected a number such as"),
        ("cost 7B 140B --served -1", "--served -1: expected between"),
        ("buy foo=1", "unknown setting 'foo'"),
        ("buy 请求=1", "unknown setting '请求'"),
        ("buy requests_per_month=-1", "must be at least 0"),
        ("buy months=.inf", "months"),
        ("buy needs.yaml", "needs.yaml:1: unknown setting 'foo'"),
        ("buy nan.yaml", "nan.yaml:1: api_in"),
        ("buy list.yaml", "holds no settings"),
        ("buy none.yaml", "there is no such file"),
    ],
)
def test_a_bad_plan_is_refused_by_name(tell, line: str, said: str) -> None:
    status, printed, complaint = tell(line)
    assert status == 2
    assert printed == ""
    assert complaint.startswith("tilth: ")
    assert said in complaint


@pytest.mark.parametrize(("command", "settings"), [("buy", Needs), ("layout", Cluster), ("scale", Cluster)])
def test_help_lists_every_key_with_its_default(tell, command: str, settings: type) -> None:
    status, printed, _ = tell(f"{command} --help")
    assert status == 0
    for name, field in settings.model_fields.items():
        assert name in printed
        assert field.description
    if command == "buy":
        assert "requests_per_month=100_000" in printed
        assert "private=false" in printed
        assert "recipe" not in printed
    else:
        assert "default: H100-80G" in " ".join(printed.split())


def test_a_files_currency_is_kept_and_a_price_of_ones_own_may_have_another(tell) -> None:
    assert "CNY" in tell("layout gpt2 --cluster priced.yaml")[1]
    assert "USD" in tell("layout gpt2 --cluster priced.yaml --currency USD --price-per-hour 2")[1]
    assert tell("layout gpt2 --cluster priced.yaml --currency CNY") == tell("layout gpt2 --cluster priced.yaml")


def test_defaults_in_dollars_are_not_silently_another_currency(tell) -> None:
    said = "defaults meant as USD are taken as CNY, not converted: api_in, api_out, prompts_cost"
    assert said in tell("buy currency=CNY")[1]
    assert "api_in" not in tell("buy currency=CNY api_in=14")[1].splitlines()[-1]
    assert "not converted" not in tell("buy")[1]


@pytest.mark.parametrize("command", ["size", "memory", "layout", "scale", "cost"])
def test_help_lists_the_names_it_knows(tell, command: str) -> None:
    printed = " ".join(tell(f"{command} --help")[1].split())
    if command in ("size", "memory", "layout"):
        assert all(name in printed for name in PUBLISHED)
    if command in ("layout", "scale", "cost"):
        assert all(name in printed for name in DEVICES)


def test_a_recipes_own_length_is_the_default(run_tilth) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
    longest = max(phase.sequence_length for phase in load_recipe(recipe).pretrain)
    for command in ("size", "memory"):
        told = run_tilth("plan", command, str(recipe))
        assert told == run_tilth("plan", command, str(recipe), "--length", str(longest))
    assert "T = 4,096" in run_tilth("plan", "size", "gpt2")[1]


def test_a_model_without_a_name_is_told_what_may_stand_there(run_tilth) -> None:
    for name in ("", " "):
        status, printed, said = run_tilth("plan", "size", name)
        assert (status, printed) == (2, "")
        assert said == "tilth: MODEL is empty (a recipe (YAML), a published name such as Llama-3-8B or a config.json)\n"


def test_counts_have_suffixes_wherever_they_stand(tell) -> None:
    short = tell("layout gpt2 --devices 1Ki --length 1k --batch 1Mi --json")
    assert short == tell("layout gpt2 --devices 1024 --length 1000 --batch 1048576 --json")
    assert tell("memory gpt2 --ranks 1k --micro-batch 2 --length 1Ki") == tell(
        "memory gpt2 --ranks 1000 --micro-batch 2 --length 1024"
    )


def test_counts_may_be_written_with_an_exponent(tell) -> None:
    assert tell("cost 7e9 1.4e11 --json")[1] == tell("cost 7B 140B --json")[1]


def test_json_is_json_whatever_the_figures_and_the_models_name(tell, tmp_path: Path) -> None:
    (tmp_path / "Infinity.json").write_text(LLAMA % (10, 2))
    assert json.loads(tell("size Infinity.json --json")[1])["title"].startswith("Infinity.json")
    json.loads(tell("buy --json")[1], parse_constant=pytest.fail)


def test_the_clusters_file_is_not_overruled(tell, tmp_path: Path) -> None:
    """A cost is of the file's devices and price."""
    (tmp_path / "cheap.yaml").write_text("devices: 4\ndevice: A100-80G\nprice_per_hour: 1\n", encoding="utf-8")
    with_file, by_hand = (
        tell("cost 7B 140B --cluster cheap.yaml"),
        tell("cost 7B 140B --devices 4 --device A100-80G --price-per-hour 1"),
    )
    assert with_file == by_hand
    assert "cost of training" in with_file[1]


@pytest.mark.parametrize(
    "line",
    [
        "scale --unique-tokens 50GB",
        "scale --unique-tokens 50GiB",
        "cost 7GB 140B",
        "layout LLaMA-7B --tokens 50gb",
        "buy parameters=8GB",
        "buy scratch_tokens=50GB",
    ],
)
def test_bytes_are_not_taken_for_tokens_or_parameters(tell, line: str) -> None:
    status, printed, said = tell(line)
    assert (status, printed) == (2, "")
    assert "these are bytes, expected" in said
