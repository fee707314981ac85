"""Import from and export to Hugging Face folders, with transformers as the referee."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tilth.base.errors import UserError
from tilth.base.settings import validate
from tilth.model import (
    Boundaries,
    Decoder,
    DecoderConfig,
    ModelSettings,
    build,
    check_exportable,
    export_model,
    import_model,
    read_config,
)

transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {"tie_word_embeddings": False}),
    "llama tied, theta": ("Llama", {"tie_word_embeddings": True, "rope_theta": 5e5, "rms_norm_eps": 1e-5}),
    "llama wide heads": ("Llama", {"head_dim": 16}),
    "llama 3.1": (
        "Llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 100.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        },
    ),
    **{f"llama {act}": ("Llama", {"hidden_act": act}) for act in ("gelu", "gelu_pytorch_tanh", "relu", "relu2")},
    "mistral": ("Mistral", {"sliding_window": None, "head_dim": 8}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen2 untied": ("Qwen2", {"tie_word_embeddings": False}),
    "qwen3": ("Qwen3", {"tie_word_embeddings": True, "head_dim": 16}),
    "qwen3 untied, one group": ("Qwen3", {"tie_word_embeddings": False, "head_dim": 8, "num_key_value_heads": 1}),
}


def theirs(kind: str, options: dict[str, Any], folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """A random model of transformers, also saved in `folder`."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**(SIZES | options))
    model = getattr(transformers, f"{kind}ForCausalLM")(config).to(dtype)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:  # norms and biases are constants at the beginning: move them
            torch.nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.3)
    model.save_pretrained(folder)
    return model.eval()


def exact_norms(model: Any) -> None:
    """transformers rounds inside RMSNorm to fp32, whatever the dtype: in fp64 the referee must not."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):

            def forward(x: torch.Tensor, norm: Any = module) -> torch.Tensor:
                return norm.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)

            module.forward = forward


def our_logits(model: Decoder, tokens: torch.Tensor) -> torch.Tensor:
    count = len(tokens)
    boundaries = Boundaries(torch.tensor([0, count], dtype=torch.int32), 1)
    with torch.no_grad():
        return model.logits(model(tokens, torch.arange(count), boundaries))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_logits_equal_transformers(case: str, dtype: torch.dtype, tolerance: float, tmp_path: Path) -> None:
    kind, options = CASES[case]
    reference = theirs(kind, options, tmp_path, dtype)
    if dtype == torch.float64:
        exact_norms(reference)
    model = import_model(tmp_path, dtype)
    tokens = torch.randint(96, (48,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = reference(tokens[None]).logits[0]
    found = our_logits(model, tokens)
    assert (found - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max()))
    assert model.config.parameter_count == sum(p.numel() for p in model.parameters()) == reference.num_parameters()


@pytest.mark.parametrize("case", CASES)
def test_round_trip_is_bitwise(case: str, tmp_path: Path) -> None:
    kind, options = CASES[case]
    reference = theirs(kind, options, tmp_path / "in", torch.bfloat16)
    model = import_model(tmp_path / "in")
    export_model(model, tmp_path / "out", dtype="bf16", eos=2)
    back = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.bfloat16)
    assert back.config.eos_token_id == 2
    expected, found = reference.state_dict(), back.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    again = import_model(tmp_path / "out")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    changed = {"output_projections": "normal"}
    assert again.config.model_copy(update=changed) == model.config.model_copy(update=changed)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("qk_norm", "qkv_bias"), [(True, False), (False, True), (False, False)])
def test_our_models_load_in_transformers(tied: bool, qk_norm: bool, qkv_bias: bool, tmp_path: Path) -> None:
    settings = ModelSettings(
        hidden=32,
        heads=4,
        kv_heads=2,
        tie_embeddings=tied,
        qk_norm=qk_norm,
        qkv_bias=qkv_bias,
        output_projections="normal",
    )
    model = build(settings.config(96), seed=3)
    export_model(model, tmp_path)
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    tokens = torch.arange(40) % 96
    with torch.no_grad():
        expected = reference(tokens[None]).logits[0]
    assert (our_logits(model, tokens) - expected).abs().max() <= 1e-5


def test_shards_and_their_index(tmp_path: Path) -> None:
    model = build(ModelSettings(hidden=32, heads=4).config(96), seed=3)
    export_model(model, tmp_path, shard_bytes=20_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 3
    back = import_model(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), back.parameters(), strict=True))
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(reference.model.embed_tokens.weight, model.embedding.weight)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_model(build(ModelSettings(hidden=32, heads=4).config(96), seed=3), tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["UnheardOfModel"]}, "supported: LlamaForCausalLM"),
        ({"architectures": ["GPT2LMHeadModel"]}, "LayerNorm, learned positions"),
        ({"architectures": ["BloomForCausalLM"]}, "ALiBi"),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 4096}, "sliding_window is 4096"),
        ({"hidden_act": "gelu_fast"}, "not one of silu, gelu, gelu_pytorch_tanh, relu, relu2"),
        ({"attention_bias": True}, "attention_bias"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}, "rope_parameters": None}, "yarn"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    theirs("Llama", {}, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=message):
        import_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": None}, r"config\.json: vocab_size is None, not a number above 0"),
        ({"num_attention_heads": ...}, r"config\.json: num_attention_heads is missing"),
        ({"num_key_value_heads": 3}, r"config\.json: .*heads \(4\) is not a multiple of kv_heads \(3\)"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, r"config\.json: low_freq_factor is missing"),
    ],
)
def test_a_key_that_is_missing_or_wrong_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    theirs("Llama", {}, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))
    with pytest.raises(UserError, match=message):
        read_config(tmp_path)


def test_a_missing_tensor_and_a_wrong_shape_are_named(tmp_path: Path) -> None:
    theirs("Llama", {}, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(UserError, match=r"missing, first model\.layers\.2"):
        import_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    with pytest.raises(UserError, match=r"shape is \[.*\], the configuration says"):
        import_model(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        read_config(tmp_path)


def test_a_damaged_file_of_weights_is_named(tmp_path: Path) -> None:
    export_model(build(ModelSettings(hidden=32, heads=4).config(96), seed=3), tmp_path)
    with (tmp_path / "model.safetensors").open("r+b") as weights:
        weights.truncate(2000)
    with pytest.raises(UserError, match=r"model\.safetensors: not readable"):
        import_model(tmp_path)


def test_parameter_counts_of_published_models() -> None:
    qwen3 = DecoderConfig(
        vocabulary_size=151_936,
        hidden=1024,
        layers=28,
        heads=16,
        kv_heads=8,
        head_dim=128,
        intermediate=3072,
        qk_norm=True,
    )
    assert qwen3.parameter_count == 596_049_920
    llama = DecoderConfig(
        vocabulary_size=32_000,
        hidden=4096,
        layers=32,
        heads=32,
        kv_heads=32,
        head_dim=128,
        intermediate=11_008,
        tie_embeddings=False,
    )
    assert llama.parameter_count == 6_738_415_616


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"qkv_bias": True}, "qk_norm and qkv_bias"),
        ({"qkv_bias": True, "qk_norm": False, "head_dim": 16}, "Qwen2, whose head_dim is hidden / heads, not 16"),
    ],
)
def test_what_no_layout_can_hold_is_known_before_training(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_exportable(ModelSettings(hidden=32, heads=4, **options).config(96))
    assert check_exportable(ModelSettings(hidden=32, heads=4).config(96)) == "Qwen3ForCausalLM"


def test_asking_whether_a_model_can_be_exported_needs_no_torch() -> None:
    code = "import sys; from tilth.model import check_exportable; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 4, "kv_heads": 3}, r"recipe\.yaml: heads \(4\) is not a multiple of kv_heads \(3\)"),
        ({"heads": 4, "head_dim": 7}, r"head_dim \(7\) is odd"),
        ({"heads": 32}, "head_dim: Input should be greater than or equal to 2"),
        ({"heads": 5}, "not a multiple of heads"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused_as_a_setting(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        validate(ModelSettings, {"hidden": 32, **options}, source="recipe.yaml")
    assert "\n" not in str(error.value)
