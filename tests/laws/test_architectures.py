from __future__ import annotations

import csv
from typing import Any

import pytest

from tilth.laws.architectures import KINDS, PUBLISHED, published, shape_of
from tilth.laws.counting import Counting
from tilth.laws.model_size import active_parameters, parameter_parts, parameters

BASE = {"vocab_size": 96, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 80}
GROUPED = {**BASE, "num_key_value_heads": 2}
OLD = {"vocab_size": 96, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 40}
SPARSE = {**GROUPED, "head_dim": 16, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20}

CONFIGS: list[tuple[str, dict[str, Any]]] = [
    ("llama", GROUPED),
    ("llama", {**GROUPED, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("mistral", GROUPED),
    ("qwen2", GROUPED),
    ("qwen3", {**GROUPED, "head_dim": 16}),
    ("phi3", {**GROUPED, "pad_token_id": 0}),
    ("gemma", {**GROUPED, "head_dim": 16}),
    ("gemma2", {**GROUPED, "head_dim": 16}),
    ("gemma3_text", {**GROUPED, "head_dim": 16}),
    ("olmo", GROUPED),
    ("olmo2", {**GROUPED, "pad_token_id": 0}),
    ("starcoder2", GROUPED),
    ("phi", BASE),
    ("gpt2", OLD),
    ("gpt_bigcode", OLD),
    ("gptj", {**OLD, "rotary_dim": 4}),
    ("gpt_neox", BASE),
    ("opt", {**BASE, "ffn_dim": 80, "max_position_embeddings": 40, "word_embed_proj_dim": 48, "pad_token_id": 0}),
    ("opt", {**BASE, "ffn_dim": 80, "max_position_embeddings": 40, "word_embed_proj_dim": 24, "pad_token_id": 0,
             "do_layer_norm_before": False}),
    ("bloom", {"vocab_size": 96, "hidden_size": 48, "n_layer": 3, "n_head": 4}),
    ("falcon", BASE),
    ("falcon", {**BASE, "new_decoder_architecture": True, "num_kv_heads": 2}),
    ("falcon", {**BASE, "multi_query": False, "parallel_attn": False, "bias": True, "alibi": True}),
    ("mpt", {"vocab_size": 96, "d_model": 48, "n_layers": 3, "n_heads": 4, "max_seq_len": 40}),
    ("mixtral", {**GROUPED, "num_local_experts": 5, "num_experts_per_tok": 2}),
    ("qwen2_moe", {**SPARSE, "shared_expert_intermediate_size": 28, "mlp_only_layers": [1]}),
    ("qwen3_moe", {**SPARSE, "decoder_sparse_step": 2}),
    ("olmoe", {**BASE, "num_experts": 6, "num_experts_per_tok": 2, "pad_token_id": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields"), CONFIGS, ids=[f"{i}-{kind}" for i, (kind, _) in enumerate(CONFIGS)])
def test_every_kind_counts_as_the_model_that_transformers_builds(kind: str, fields: dict[str, Any]) -> None:
    """A model of odd sizes is built without memory and its parameters counted."""
    transformers = pytest.importorskip("transformers")
    import torch

    config = transformers.AutoConfig.for_model(kind, **fields)
    config.pad_token_id = None
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    assert parameters(shape_of(config.to_dict())) == sum(p.numel() for p in model.parameters())


def test_every_known_kind_is_compared() -> None:
    assert {kind for kind, _ in CONFIGS} == set(KINDS)


def test_published_counts_exactly(real_data: Any) -> None:
    table = real_data.parent / "evidence" / "model_parameter_counts.csv"
    if not table.exists():
        pytest.skip(f"no table of published counts at {table}")
    rows = list(csv.DictReader(table.open()))
    for row in rows:
        shape = published(row["model"])
        assert shape is not None, row["model"]
        assert parameters(shape) == int(row["computed_params"]) == int(row["remembered_public_count"]), row["model"]
        names = {"n_layer": "layers", "hidden": "hidden", "ffn": "intermediate", "n_head": "heads",
                 "n_kv_head": "kv_heads", "head_dim": "head_dim", "vocab": "vocabulary"}  # fmt: skip
        assert all(int(row[theirs]) == getattr(shape, ours) for theirs, ours in names.items()), row["model"]
        assert (row["tied"] == "1") == shape.tied
    assert len(rows) >= 19


PUBLIC = {
    "LLaMA-7B": 6_738_415_616,
    "gpt2": 124_439_808,
    "Qwen3-0.6B": 596_049_920,
    "Llama-3-8B": 8_030_261_248,
    "Mistral-7B": 7_241_732_096,
    "Mixtral-8x7B": 46_702_792_704,
    "GPT-J-6B": 6_050_882_784,
    "GPT-NeoX-20B": 20_554_567_680,
    "opt-125m": 125_239_296,
    "opt-350m": 331_196_416,
    "bloom-560m": 559_214_592,
    "bloom": 176_247_271_424,
    "falcon-7b": 6_921_720_704,
    "mpt-7b": 6_649_286_656,
    "phi-2": 2_779_683_840,
    "Qwen3-30B-A3B": 30_532_122_624,
    "OLMoE-1B-7B": 6_919_161_856,
    "Gemma-7B": 8_537_680_896,
    "Gemma-2-2B": 2_614_341_888,
}
"""As the model cards' tensors add up."""


@pytest.mark.parametrize("name", PUBLIC)
def test_counts_of_other_model_cards(name: str) -> None:
    assert parameters(PUBLISHED[name]) == PUBLIC[name]


def test_three_countings_of_gpt2() -> None:
    shape = PUBLISHED["gpt2"]
    tokens, positions = 50257 * 768, 1024 * 768
    assert parameters(shape, Counting.WITHOUT_EMBEDDINGS) == 124_439_808 - tokens - positions
    assert parameters(shape, Counting.WITH_HEAD) == 124_439_808 - positions
    assert parameter_parts(shape).embedding == tokens + positions


def test_active_parameters_of_a_mixture_of_experts() -> None:
    """Mixtral's card: 12.9 B of 46.7 B for each token."""
    assert active_parameters(PUBLISHED["Mixtral-8x7B"]) == 12_879_925_248
    assert active_parameters(PUBLISHED["gpt2"]) == parameters(PUBLISHED["gpt2"])


def test_only_a_model_of_experts_alone_goes_without_a_dense_width() -> None:
    sparse = {name: value for name, value in SPARSE.items() if name != "intermediate_size"}
    assert shape_of({"model_type": "qwen3_moe", **sparse}).intermediate == 0
    for kind, more in (("llama", {}), ("qwen3_moe", {"decoder_sparse_step": 2})):
        with pytest.raises(KeyError, match="intermediate_size"):
            shape_of({"model_type": kind, **sparse, **more})


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("llama", {**BASE, "num_attention_heads": 5}),
        ("gpt2", {**OLD, "n_head": 7}),
        ("bloom", {"vocab_size": 96, "hidden_size": 48, "n_layer": 3, "n_head": 5}),
    ],
)
def test_heads_that_do_not_divide_the_hidden_size_are_refused(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"hidden size of 48 does not divide among [57] heads, and no head_dim"):
        shape_of({"model_type": kind, **fields})


def test_unless_their_width_is_given_or_is_the_kinds_own() -> None:
    assert shape_of({"model_type": "llama", **BASE, "num_attention_heads": 5, "head_dim": 16}).query_width == 80
    assert shape_of({"model_type": "qwen3", **BASE, "num_attention_heads": 5}).head_dim == 128
    assert shape_of({"model_type": "gemma", **BASE, "num_attention_heads": 5}).head_dim == 256


def test_heads_share_keys_evenly() -> None:
    with pytest.raises(ValueError, match="4 heads cannot share 3 key-value heads evenly"):
        shape_of({"model_type": "llama", **BASE, "num_key_value_heads": 3})


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"deepseek_v3.*llama"):
        shape_of({"model_type": "deepseek_v3"})
