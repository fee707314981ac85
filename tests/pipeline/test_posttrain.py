"""From text to a model that answers, through a recipe: fine-tuning, preferences, tasks, exports, kills."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from pathlib import Path

import pytest

from tests.pipeline.conftest import TINY, command, hashes, tilth

STEPS = """\
posttrain:
  - name: tuned
    kind: sft
    data: [{generate: conversations, count: 200}, {path: "chats/*.jsonl"}]
    tokens: 8k
    sequence_length: 128
    batch_sequences: 8
    replay: {stories: 0.25}
    optimizer: {kind: adamw, learning_rate: 1e-3}
  - name: liked
    kind: dpo
    data: [{generate: preferences, count: 60}]
    epochs: 1
    sequence_length: 256
    batch_sequences: 4
    adapter: {rank: 4}
    optimizer: {kind: adamw, learning_rate: 1e-3}
"""
TASKS = """\
evaluate:
  samples: {prompts: ["There was"], questions: ["What is 1 + 1?"], tokens: 8}
  tasks: [{generate: items, count: 3, answer_tokens: 8}]
"""


@pytest.fixture
def chatty(tiny, tmp_path) -> Path:
    """The tiny recipe with secrets in its corpus and two steps behind it."""
    (tmp_path / "chats").mkdir()
    chats = [
        {"messages": [{"role": "user", "content": f"谁 {i}"}, {"role": "assistant", "content": "我"}]} for i in range(9)
    ]
    (tmp_path / "chats" / "own.jsonl").write_text("\n".join(map(json.dumps, chats)), encoding="utf-8")
    recipe = "\n".join(line for line in TINY.splitlines() if not line.startswith("evaluate"))
    recipe = recipe.replace("corpus:\n", "corpus:\n  canaries: {count: 4, repeat: [1, 8]}\n")
    tiny.write_text(f"{recipe}\n{STEPS}{TASKS}", encoding="utf-8")
    return tiny


def run(recipe: Path, runs: Path, *assignments: str) -> dict:
    done = tilth("run", recipe, "--runs", runs, "--json", *assignments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_way_to_a_chat(chatty, tmp_path):
    runs = tmp_path / "runs"
    outcome = run(chatty, runs)
    assert list(outcome["bits_per_byte"]) == ["base", "tuned", "liked"]
    assert {row["form"] for row in outcome["tasks"]["base"]} == {"native", "few-shot"}
    assert {row["form"] for row in outcome["tasks"]["liked"]} == {"chat"}
    assert all(row["items"] == 3 for row in outcome["tasks"]["tuned"])
    folder = runs / "tiny"
    assert sorted(path.name for path in (folder / "models").iterdir()) == ["base", "liked", "tuned"]
    assert (folder / "models" / "liked" / "model.safetensors").samefile(folder / "model" / "model.safetensors")
    adapter = next(folder.glob("dpo-liked-*")) / "adapter"
    assert {path.name for path in adapter.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in (
        "Forgetting: bits per byte behind each step",
        "Every pair behind the step, against its start",
        "Right answers: zh",
        "Samples of liked",
        "Planted secrets",
        "seconds of sft-tuned",
        "seconds of dpo-liked",
    ):
        assert words in page
    for path in folder.glob("evaluate-*/canaries.json"):
        table = json.loads(path.read_text())["by_repeats"]
        assert [(row["repeats"], row["canaries"]) for row in table] == [(1, 2), (8, 2)]
    assert len(list(folder.glob("evaluate-*/canaries.json"))) == 3
    assert run(chatty, runs)["made"] == []
    items = next(folder.glob("generate-items-*")) / "items.jsonl"
    models = folder / "models"
    asked = ("evaluate", models / "liked", "--tasks", items, "--against", models / "tuned", "--answer-tokens", "8")
    done = tilth(*asked, "--json")
    assert done.returncode == 0, done.stderr
    rows = {(row["family"], row["language"]): row for row in json.loads(done.stdout)}
    for row in outcome["tasks"]["liked"]:
        again = rows[row["family"], row["language"]]["scores"][str(models / "liked")]
        assert again["right"] == row["right"]
    changed = run(chatty, runs, "posttrain.liked.beta=0.2")["made"]
    assert changed == ["dpo-liked", "preferences-liked", "evaluate-liked", "export-liked"]


def test_transformers_reads_the_template_and_says_the_same(chatty, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    model = run(chatty, tmp_path / "runs")["model"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    messages = [{"role": "user", "content": "What is 1 + 1?"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    found = theirs.generate(**prompt, max_new_tokens=8, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    done = tilth("chat", model, "--prompt", "What is 1 + 1?", "--temperature", "0", "--max-new-tokens", "8", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"].strip() == tokenizer.decode(found, skip_special_tokens=True).strip()


def test_killed_five_times_is_not_killed(chatty, tmp_path):
    """SIGKILL while the steps are made; every artifact is equal by hash."""
    before = run(chatty, tmp_path / "killed", "--until", "pretrain-annealing")
    assert before["made"]
    run(chatty, tmp_path / "whole")
    rng = random.Random(20261121)
    for _ in range(5):
        process = subprocess.Popen(
            command("run", chatty, "--runs", tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(rng.uniform(1.5, 6.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    run(chatty, tmp_path / "killed")
    assert hashes(tmp_path / "killed" / "tiny") == hashes(tmp_path / "whole" / "tiny")


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["posttrain.tuned.replay={storis: 0.2}"], "posttrain.tuned.replay: 'storis' is neither a group nor a domain"),
        (["posttrain.tuned.replay={stories: 1.0}"], "together less than 1"),
        (["posttrain.tuned.data=[{path: nowhere.jsonl}]"], "nowhere.jsonl"),
        (["posttrain.tuned.data=[{path: ''}]"], "expected a file, a glob or a folder"),
        (["posttrain.tuned.data=[{generate: jokes}]"], "posttrain"),
        (["posttrain.tuned.template=chatmel"], "'chatmel' (did you mean 'chatml'?)"),
        (["posttrain.tuned.template=chatml"], "needs <|im_start|>"),
        (["posttrain.liked.name=tuned"], "tuned"),
        (["posttrain.tuned.name=base"], "two models would be called 'base'"),
        (["posttrain.liked.data=[{path: chats/own.jsonl}]"], "a preference has chosen and rejected"),
        (["posttrain.tuned.epochs=2"], "give epochs or tokens"),
        (["posttrain.tuned.sequence_length=4096"], "model.max_positions"),
        (["evaluate.tasks=[{path: nowhere.jsonl}]"], "nowhere.jsonl: there is no such file"),
        (["posttrain.liked.optimizer={kind: muon}"], "needs learning_rate and muon_learning_rate"),
    ],
)
def test_a_mistake_is_one_sentence(chatty, tmp_path, assignments, message):
    done = tilth("run", chatty, *assignments, "--runs", tmp_path / "runs")
    assert done.returncode == 2, done.stderr + done.stdout
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith("tilth: ")
    assert message in sentence
    assert "Traceback" not in done.stderr


def test_show_mask(chatty, tmp_path):
    tokenizer = next(Path(run(chatty, tmp_path / "runs", "--until", "tokenizer")["run"]).glob("tokenizer-*"))
    done = tilth("show-mask", tmp_path / "chats" / "own.jsonl", "--tokenizer", tokenizer, "--sample", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "<|bos|><|user|>谁 0<|end|><|assistant|>⟦我<|end|>⟧"
    with (tmp_path / "chats" / "own.jsonl").open("a", encoding="utf-8") as chats:
        chats.write('\n{"foo": 1}')
    done = tilth("show-mask", tmp_path / "chats" / "own.jsonl", "--tokenizer", tokenizer, "--sample", "99")
    assert "not trained on: own.jsonl:10 unreadable: no conversation here" in done.stderr


def test_the_forecast_of_a_step_is_whole_batches_and_says_where_the_data_are_less(chatty, tmp_path, run_tilth):
    """As the training: never less than a batch, however few the records."""
    step = [
        "posttrain.tuned.data=[{path: 'chats/*.jsonl'}]",
        "posttrain.tuned.tokens=null",
        "posttrain.tuned.replay={}",
    ]
    arguments = ["run", str(chatty), *step, "--runs", str(tmp_path / "runs"), "--dry-run", "--json"]
    status, out, err = run_tilth(*arguments)
    assert not status, err
    told = json.loads(out)["forecast"]
    assert {phase["name"]: phase["tokens"] for phase in told["phases"]}["sft-tuned"] == 8 * 128
    (said,) = told["warnings"]
    assert said.startswith("tuned: the data fill about 2 of the 8 sequences of one batch")
    status, out, err = run_tilth(*arguments, "posttrain.tuned.batch_sequences=2")
    told = json.loads(out)["forecast"]
    assert told["warnings"] == []
    assert {phase["name"]: phase["tokens"] for phase in told["phases"]}["sft-tuned"] == 2 * 128


@pytest.mark.parametrize(
    ("records", "template", "said"),
    [
        (['{"messages": [{"role": "narrator", "content": "x"}]}'], "", "own.jsonl:1: messages: message 1: the role"),
        (['{"question": "q", "answers": ["a"]}'] * 40, "", "none of the first records can be trained on; there is "
         "no answer in completion, response, answer, output or in messages; the fields are 'question', 'answers'"),
        (["oops"], "", "own.jsonl:1: none of the first records can be trained on; not JSON"),
        ([], "", "own.jsonl: none of the first records can be trained on; there is no record"),
        (['{"messages": [{"role": "tool", "content": "1"}, {"role": "assistant", "content": "x"}]}'], "llama3", ""),
        (['{"messages": [{"role": "tool", "content": "1"}, {"role": "assistant", "content": "x"}]}'], "colossal",
         "own.jsonl:1: the chat template colossal has no role 'tool' (it knows"),
        (["oops", '{"prompt": "q", "response": "a"}'], "", ""),
    ],
)  # fmt: skip
def test_what_no_step_can_be_trained_on_is_told_before_the_corpus(chatty, tmp_path, run_tilth, records, template, said):
    """With the recipe's line and the file's; one bad record among others is counted by the rendering."""
    (tmp_path / "chats" / "own.jsonl").write_text("\n".join(records))
    line = (
        chatty.read_text()
        .splitlines()
        .index('    data: [{generate: conversations, count: 200}, {path: "chats/*.jsonl"}]')
    )
    template = [f"posttrain.tuned.template={template}"] if template else []
    status, _, err = run_tilth("run", str(chatty), *template, "--runs", str(tmp_path / "runs"), "--dry-run")
    assert status == (2 if said else 0)
    if said:
        assert err.startswith(f"tilth: {chatty}:{line + 1}: posttrain.tuned.data.1: {tmp_path}/")
        assert said in err


def test_files_that_no_step_reads_are_told_before_the_corpus(chatty, tmp_path, run_tilth):
    def told(*assignments: str) -> str:
        status, _, err = run_tilth("run", str(chatty), *assignments, "--runs", str(tmp_path / "runs"), "--dry-run")
        assert status == 2
        return err

    (tmp_path / "chats" / "more.csv").write_text("question,answer\nq,a\n")
    assert f"posttrain.tuned.data.0: {tmp_path}/chats/more.csv: conversations are read from JSON" in told(
        "posttrain.tuned.data=[{path: chats/*.csv}]"
    )
    assert "posttrain.liked.data.0: " in (err := told("posttrain.liked.data=[{path: chats/own.jsonl}]"))
    assert "own.jsonl:1: a preference has chosen and rejected, this record does not" in err
