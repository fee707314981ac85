"""Continuing an open model through a recipe: import, train, export, and another library reads the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipeline.conftest import tilth
from tilth.synthesis.stories import WRITERS
from tilth.tokens.tokenizer import train_bpe


@pytest.fixture
def open_model(tmp_path: Path) -> Path:
    """A tiny Qwen3 folder as transformers writes it, with a tokenizer that has no begin mark."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    import random

    texts = [WRITERS[language](random.Random(i)) for i in range(60) for language in ("en", "zh")]
    tokenizer = train_bpe(texts, vocabulary=400)
    tokenizer.config["bos_token"] = None
    tokenizer.save(tmp_path / "open")
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=416, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=64, max_position_embeddings=256, tie_word_embeddings=True,
    )  # fmt: skip
    transformers.Qwen3ForCausalLM(config).save_pretrained(tmp_path / "open")
    return tmp_path / "open"


def test_a_base_is_imported_trained_and_exported(open_model, tmp_path):
    import torch
    import transformers

    recipe = tmp_path / "continue.yaml"
    recipe.write_text(
        "base: open\ntokenizer: {load: open}\nsynthesize: [{kind: stories, documents: 200}]\n"
        "corpus: {holdout: {fraction: 0.1}}\n"
        "pretrain: [{name: more, tokens: 4k, sequence_length: 64, batch_sequences: 8, precision: fp32}]\n"
        "compute: {threads: 1, workers: 1}\n"
    )
    done = tilth("run", recipe, "--runs", tmp_path / "runs", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert 0 < outcome["bits_per_byte"]["base"]["stories"] < 12
    theirs = transformers.AutoModelForCausalLM.from_pretrained(outcome["model"], dtype=torch.float32)
    before = transformers.AutoModelForCausalLM.from_pretrained(open_model, dtype=torch.float32)
    assert theirs.config.architectures == ["Qwen3ForCausalLM"]
    ids = torch.tensor([transformers.AutoTokenizer.from_pretrained(outcome["model"]).encode("There was once")])
    assert not torch.allclose(theirs(ids).logits, before(ids).logits)

    from tilth.model import Boundaries
    from tilth.training import load_model

    ours = load_model(next((tmp_path / "runs" / "continue").glob("pretrain-more-*")))
    n = ids.shape[1]
    hidden = ours(ids[0], torch.arange(n), Boundaries(torch.tensor([0, n], dtype=torch.int32), 1))
    torch.testing.assert_close(ours.logits(hidden), theirs(ids).logits[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("tokenizer: {vocabulary: 300}", "a base model is continued with its own tokenizer"),
        ("tokenizer: {load: open, vocabulary: 300}", "continue.yaml:2: tokenizer.vocabulary: this says nothing"),
        ("tokenizer: {load: open}\nmodel: {hidden: 8}", "the base says what shape the model has"),
    ],
)
def test_what_contradicts_the_base_is_refused(open_model, tmp_path, section, message):
    recipe = tmp_path / "continue.yaml"
    recipe.write_text(
        f"base: open\n{section}\nsynthesize: [{{kind: stories, documents: 20}}]\n"
        "pretrain: [{name: more, tokens: 1k, sequence_length: 64, batch_sequences: 8}]\n"
    )
    done = tilth("run", recipe, "--runs", tmp_path / "runs")
    assert done.returncode == 2
    assert message in done.stderr
