"""LoRA: the same function at first, frozen weights untouched, merged and taken apart, PEFT's files both ways."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tilth.base.errors import UserError
from tilth.model import Boundaries, Decoder, DecoderConfig, ModelSettings, build, export_model, linear_cross_entropy
from tilth.model.adapters import (
    AdapterSettings,
    LowRankLinear,
    attach,
    load_adapter,
    merge,
    merge_difference,
    remove,
    save_adapter,
    unmerge,
)
from tilth.model.draws import drop, sequence_keys, site_keys, token_keys

TOKENS, POSITIONS, BOUNDARIES = (
    torch.arange(60) * 7 % 50,
    torch.cat([torch.arange(40), torch.arange(20)]),
    Boundaries(torch.tensor([0, 40, 60], dtype=torch.int32), 1),
)


def config(**options: object) -> DecoderConfig:
    """A small decoder with grouped queries."""
    options = {"hidden": 32, "heads": 4, "kv_heads": 2, "layers": 2, "output_projections": "normal", **options}
    return ModelSettings.model_validate(options | {"initial_std": 0.1}).config(50)


def logits(model: Decoder) -> Tensor:
    return model.logits(model(TOKENS, POSITIONS, BOUNDARIES))


def disturbed(settings: AdapterSettings, **options: object) -> Decoder:
    """A model with an adapter that does something."""
    model = build(config(**options), seed=1)
    attach(model, settings, seed=2)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize("settings", [AdapterSettings(), AdapterSettings(rank=4, targets=("value", "query"))])
def test_attached_is_the_same_function_and_trains_little(settings: AdapterSettings) -> None:
    model = build(config(qkv_bias=True, qk_norm=False), seed=1)
    before, weights = logits(model), {p.data_ptr() for p in model.parameters()}
    attach(model, settings, seed=2)
    assert torch.equal(logits(model), before)
    assert {p.data_ptr() for p in model.parameters() if not p.requires_grad} == weights  # no weight was copied
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 2 * len(settings.targets)
    assert all(name.endswith(("lora_A", "lora_B")) for name in trained)
    assert settings.targets == tuple(sorted(settings.targets, key="query key value output gate up down".split().index))


def test_initial_values_are_kaiming_uniform_and_keyed() -> None:
    models = [build(config(hidden=256, heads=4), seed=1) for _ in range(2)]
    attach(models[0], AdapterSettings(rank=32), seed=2)
    attach(models[1], AdapterSettings(rank=32, targets=("down", "query")), seed=2)
    first, second = (dict(model.named_parameters()) for model in models)
    a = first["blocks.1.attention.query.lora_A"]
    assert torch.equal(a, second["blocks.1.attention.query.lora_A"])
    assert not torch.equal(a, first["blocks.0.attention.query.lora_A"])
    assert float(a.abs().max()) == pytest.approx(1 / 16, rel=1e-3)
    assert float(a.var()) == pytest.approx(1 / (3 * 256), rel=0.03)
    assert not first["blocks.1.attention.query.lora_B"].any()


@pytest.mark.parametrize("rslora", [False, True])
def test_the_definition(rslora: bool) -> None:
    settings = AdapterSettings(rank=3, alpha=5, rslora=rslora)
    module = disturbed(settings).blocks[0].feed_forward.up
    assert isinstance(module, LowRankLinear)
    x = torch.randn(7, 32, generator=torch.Generator().manual_seed(0))
    scale = 5 / (3**0.5 if rslora else 3)
    expected = x @ (module.weight + scale * module.lora_B @ module.lora_A).T
    assert (module(x) - expected).abs().max() <= 1e-6
    half = module(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half - expected).abs().max() <= 0.05


def test_gradients_reach_the_adapter_alone_and_lower_the_loss() -> None:
    model = build(config(), seed=1)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters()}
    attach(model, AdapterSettings(rank=32, alpha=32), seed=2)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(40):
        hidden = model(TOKENS, POSITIONS, BOUNDARIES)
        loss, _ = linear_cross_entropy(hidden, model.head_weight, TOKENS.roll(-1), 1 / 60)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    after = dict(model.named_parameters())
    assert all(torch.equal(after[name], value) for name, value in frozen.items())
    assert all(after[name].grad is None for name in frozen)


def test_dropout_acts_in_training_alone() -> None:
    model = disturbed(AdapterSettings(dropout=0.5))
    model.train()
    found = []
    for step in (0, 0, 1):
        model.sequence_keys = sequence_keys(1, "sft", step, [0], torch.device("cpu"))
        found.append(logits(model))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    model.eval()
    plain = logits(disturbed(AdapterSettings()))
    assert torch.equal(logits(model), plain)
    assert not torch.equal(found[0], plain)


def test_an_input_is_dropped_for_the_adapter_alone() -> None:
    """Hu et al. 2021: W x stays whole, and of A's input each projection has a mask of its own."""
    settings = AdapterSettings(rank=3, dropout=0.4)
    module = disturbed(settings).blocks[0].feed_forward.up
    assert isinstance(module, LowRankLinear)
    x = torch.ones(60, 32)
    keys_N = token_keys(sequence_keys(1, "sft", 0, [0], torch.device("cpu")), 60)
    masked = drop(x, site_keys(keys_N, module.site), 0.4)
    assert 0.3 < float((masked == 0).float().mean()) < 0.5
    expected = x @ module.weight.T + settings.scale * masked @ module.lora_A.T @ module.lora_B.T
    assert (module(x, keys_N) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_merged_and_taken_apart(dtype: torch.dtype) -> None:
    model = disturbed(AdapterSettings(rank=4)).to(dtype)
    apart = logits(model)
    limit = 1e-5 if dtype == torch.float32 else 1e-13
    base = model.blocks[0].attention.query.weight.detach().clone()
    difference = merge_difference(model, TOKENS, POSITIONS, BOUNDARIES)
    assert 0 < difference <= limit
    assert float((logits(model) - apart).abs().max()) == difference
    merge(model)  # a second time changes nothing
    assert float((logits(model) - apart).abs().max()) == difference
    unmerge(model)
    assert (model.blocks[0].attention.query.weight - base).abs().max() <= limit
    assert (logits(model) - apart).abs().max() <= limit
    merge(model)
    remove(model)
    assert not any(isinstance(module, LowRankLinear) for module in model.modules())
    assert [name for name, _ in model.named_parameters()] == [n for n, _ in build(config()).named_parameters()]
    assert float((logits(model) - apart).abs().max()) <= limit
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("compiled", [False, True])
def test_packed_equals_alone(compiled: bool) -> None:
    model = disturbed(AdapterSettings(rank=4))
    if compiled:
        for block in model.blocks:
            block.compile(dynamic=False)
    packed = model(TOKENS, POSITIONS, BOUNDARIES)
    parts = [slice(0, 40), slice(40, 60)]
    alone = [
        model(TOKENS[p], POSITIONS[p], Boundaries(torch.tensor([0, p.stop - p.start], dtype=torch.int32), 1))
        for p in parts
    ]
    assert (packed - torch.cat(alone)).abs().max() <= 1e-5


SETTINGS = [
    AdapterSettings(rank=4, alpha=8),
    AdapterSettings(rank=3, alpha=2.5, rslora=True, targets=("query", "down")),
    AdapterSettings(rank=2, embeddings=True),
]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("settings", SETTINGS)
def test_peft_reads_what_is_written(settings: AdapterSettings, tied: bool, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    base = build(config(tie_embeddings=tied), seed=1)
    export_model(base, tmp_path / "base")
    ours = disturbed(settings, tie_embeddings=tied)
    save_adapter(ours, settings, tmp_path / "adapter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tied modules to save
        theirs = peft.PeftModel.from_pretrained(
            transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
        ).eval()
    with torch.no_grad():
        found = theirs(TOKENS[None, :40]).logits[0]
        assert (found - logits(ours)[:40]).abs().max() <= 1e-6
        merged = theirs.merge_and_unload()(TOKENS[None, :40]).logits[0]
    assert merge_difference(ours, TOKENS, POSITIONS, BOUNDARIES) <= 1e-5
    assert (merged - logits(ours)[:40]).abs().max() <= 1e-5


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("settings", SETTINGS)
def test_written_and_read_back_to_the_bit(settings: AdapterSettings, tied: bool, tmp_path: Path) -> None:
    model = disturbed(settings, tie_embeddings=tied)
    for name in "ab":
        save_adapter(model, settings, tmp_path / name, base="the-base")
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    base = build(config(tie_embeddings=tied), seed=1)
    assert load_adapter(base, tmp_path / "a") == settings
    assert torch.equal(logits(base), logits(model))


def test_what_peft_writes_is_read(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    model = build(config(), seed=1)
    export_model(model, tmp_path / "base")
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "up_proj"], "init_lora_weights": False}
    theirs = peft.get_peft_model(
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base"), peft.LoraConfig(**options)
    ).eval()
    theirs.save_pretrained(tmp_path / "adapter")
    assert load_adapter(model, tmp_path / "adapter") == AdapterSettings(rank=4, alpha=8, targets=("query", "up"))
    with torch.no_grad():
        assert (theirs(TOKENS[None, :40]).logits[0] - logits(model)[:40]).abs().max() <= 1e-6


def test_names_are_pefts(tmp_path: Path) -> None:
    settings = AdapterSettings(rank=2, targets=("query", "down"))
    save_adapter(disturbed(settings), settings, tmp_path)
    names = [
        f"base_model.model.model.layers.{layer}.{module}.lora_{letter}.weight"
        for layer in (0, 1)
        for module in ("mlp.down_proj", "self_attn.q_proj")
        for letter in "AB"
    ]
    assert sorted(load_file(tmp_path / "adapter_model.safetensors")) == names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "not LORA"),
        ({"target_modules": ["q_projj"]}, "q_proj"),
        ({"target_modules": "all-linear"}, "expected a list"),
        ({"use_dora": True}, "use_dora"),
        ({"r": 0}, "rank"),
        ({"r": 3}, "shape is"),
        ({"target_modules": ["q_proj", "k_proj"]}, "other tensors"),
        ({"modules_to_save": ["norm"]}, "modules_to_save"),
    ],
)
def test_adapters_of_other_kinds_are_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    settings = AdapterSettings(rank=2, targets=("query",))
    save_adapter(disturbed(settings), settings, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        load_adapter(build(config(), seed=1), tmp_path)
    with pytest.raises(UserError, match="no adapter"):
        load_adapter(build(config(), seed=1), tmp_path / "nowhere")
