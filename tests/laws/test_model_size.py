from __future__ import annotations

import csv

import pytest

from tilth.laws.flops import training_flops_per_token
from tilth.laws.model_size import Shape, parameters


def test_the_short_form_of_llama():
    """V H + V H + (2L + 1) H + 4 L H^2 + 3 L H H' for LLaMA-7B."""
    v, h, layers, f = 32000, 4096, 32, 11008
    shape = Shape(v, h, layers, heads=32, kv_heads=32, head_dim=128, intermediate=f)
    assert parameters(shape) == 2 * v * h + (2 * layers + 1) * h + 4 * layers * h * h + 3 * layers * h * f == 6738415616


def test_qwen3_with_tied_embeddings_and_query_key_norms():
    shape = Shape(151936, 1024, 28, heads=16, kv_heads=8, head_dim=128, intermediate=3072, tied=True, qk_norm=True)
    assert parameters(shape) == 596_049_920


def test_published_counts(real_data):
    table = real_data.parent / "evidence" / "model_parameter_counts.csv"
    if not table.exists():
        pytest.skip(f"no table of published counts at {table}")
    checked = 0
    for row in csv.DictReader(table.open()):
        name = row["model"].lower()
        if "llama" not in name and "qwen" not in name and "mistral" not in name:
            continue  # other frames: biases, layer norms
        keys = ("vocab", "hidden", "n_layer", "n_head", "n_kv_head", "head_dim", "ffn")
        shape = Shape(
            *(int(row[k]) for k in keys),
            tied=row["tied"] == "1",
            qk_norm="qwen3" in name,
            qkv_bias="qwen2" in name,
        )
        assert parameters(shape) == int(row["computed_params"]), row["model"]
        checked += 1
    assert checked >= 8


def test_flops_by_hand():
    shape = Shape(100, 8, 2, heads=2, kv_heads=1, head_dim=4, intermediate=16)
    matrices = 2 * (8 * 8 + 8 * 4 * 2 + 8 * 8 + 3 * 8 * 16) + 100 * 8
    assert training_flops_per_token(shape, 32) == 6 * matrices + 6 * 2 * 8 * 32
