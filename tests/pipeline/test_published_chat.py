"""A model of a published size learns to chat through a recipe: adapters, merge, export, one answer. Takes minutes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipeline.conftest import tilth
from tests.training.test_published_size import LIMIT, write_qwen
from tilth.synthesis.chats import conversations
from tilth.tokens.settings import CHAT_TOKENS
from tilth.tokens.tokenizer import train_bpe

RECIPE = """\
base: open
tokenizer: {load: open}
posttrain:
  - name: chat
    kind: sft
    data: [{generate: conversations, count: 400}]
    tokens: 5120
    sequence_length: 512
    batch_sequences: 2
    micro_batch: 1
    compile: "off"
    adapter: {rank: 8}
    optimizer: {kind: adamw, learning_rate: 1e-4}
evaluate: {samples: {prompts: [Hello], questions: ["What is 1 + 1?"], tokens: 4}}
export: {models: last}
compute: {threads: 1, workers: 1}
"""


@pytest.mark.slow
def test_qwen3_600m_learns_to_chat(tmp_path: Path) -> None:
    texts = [message["content"] for chat in conversations(400, 1) for message in chat["messages"]]
    write_qwen(tmp_path / "open")
    train_bpe(texts, vocabulary=500, special=CHAT_TOKENS).save(tmp_path / "open")
    (tmp_path / "chat.yaml").write_text(RECIPE)
    done = tilth("run", tmp_path / "chat.yaml", "--runs", tmp_path / "runs", "--json")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "chat"
    measured = [json.loads(path.read_text()) for path in folder.glob("*/measured.json")]
    assert max(figures["peak_memory_bytes"] for figures in measured) <= LIMIT
    step = next(folder.glob("sft-chat-*"))
    state = json.loads((step / "state.json").read_text())
    assert state["step"] == 5
    assert state["adapter"]["largest_logit_difference"] < 1e-2
    assert (step / "adapter" / "adapter_model.safetensors").stat().st_size < 50e6
    asked = ("--prompt", "What is 1 + 1?", "--max-new-tokens", "4", "--temperature", "0")
    answer = tilth("chat", folder, *asked, "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["finish_reason"] in ("stop", "length")
