"""The decoder: packed = alone, initialisation, configuration."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

from tilth.base.errors import UserError
from tilth.base.settings import validate
from tilth.model import Boundaries, Decoder, DecoderConfig, ModelSettings, build, linear_cross_entropy
from tilth.model.decoder import ACTIVATIONS, Linear

CONFIG = ModelSettings(hidden=32, heads=4, kv_heads=2, layers=2, output_projections="normal", initial_std=0.1).config(
    50
)


def run(model: Decoder, documents: list[torch.Tensor]) -> torch.Tensor:
    lengths = torch.tensor([len(document) for document in documents])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]).to(torch.int32)
    positions = torch.cat([torch.arange(len(document)) for document in documents])
    return model(torch.cat(documents), positions, Boundaries(offsets, 1))


def test_packed_equals_alone() -> None:
    model = build(CONFIG, seed=1).double()
    generator = torch.Generator().manual_seed(0)
    documents = [torch.randint(50, (length,), generator=generator) for length in (3, 40, 1, 17)]
    packed = run(model, documents)
    alone = torch.cat([run(model, [document]) for document in documents])
    assert (packed - alone).abs().max() <= 1e-10
    gradients = []
    for hidden in (packed, alone):
        model.zero_grad()
        linear_cross_entropy(hidden, model.head_weight, torch.cat(documents))[0].backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    assert max(float((a - b).abs().max()) for a, b in zip(*gradients, strict=True)) <= 1e-10


def test_a_token_sees_nothing_behind_it() -> None:
    model = build(CONFIG, seed=1).double()
    document = torch.arange(20)
    changed = torch.cat([document[:12], document[12:].flip(0)])
    assert torch.equal(run(model, [document])[:12], run(model, [changed])[:12])


def test_initial_weights_depend_on_seed_and_name_alone() -> None:
    a, b, c = build(CONFIG, seed=1), build(CONFIG, seed=1), build(CONFIG, seed=2)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.embedding.weight, c.embedding.weight)
    deeper = build(CONFIG.model_copy(update={"layers": 3}), seed=1)
    assert torch.equal(deeper.blocks[1].attention.query.weight, a.blocks[1].attention.query.weight)


@pytest.mark.parametrize(("kind", "std"), [("zero", 0.0), ("scaled", 0.1 / 2), ("normal", 0.1)])
def test_output_projections(kind: str, std: float) -> None:
    config = CONFIG.model_copy(update={"output_projections": kind, "hidden": 128, "intermediate": 256})
    model = build(config, seed=1)
    for weight in (model.blocks[0].feed_forward.down.weight, model.blocks[1].attention.output.weight):
        assert float(weight.std()) == pytest.approx(std, rel=0.05)
    assert float(model.embedding.weight.std()) == pytest.approx(0.1, rel=0.05)


def test_activations_by_their_definitions() -> None:
    x = torch.linspace(-4, 4, 101, dtype=torch.float64)
    cubic = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    expected = {
        "silu": x / (1 + torch.exp(-x)),
        "gelu": x * (1 + torch.erf(x / math.sqrt(2))) / 2,
        "gelu_tanh": x * (1 + torch.tanh(cubic)) / 2,
        "relu": x.clamp_min(0),
        "relu2": x.clamp_min(0) ** 2,
    }
    assert ACTIVATIONS.keys() == expected.keys()
    for name, value in expected.items():
        assert float((ACTIVATIONS[name](x) - value).abs().max()) <= 1e-12, name
    model = build(CONFIG.model_copy(update={"activation": "relu2"}), seed=1)
    assert model.blocks[0].feed_forward.activation is ACTIVATIONS["relu2"]


@pytest.mark.parametrize("options", [{"tie_embeddings": False}, {"qk_norm": True, "qkv_bias": True}, {"kv_heads": 1}])
def test_parameter_count_is_exact(options: dict[str, object]) -> None:
    config = ModelSettings.model_validate({"hidden": 32, "heads": 4, **options}).config(50)
    assert config.parameter_count == sum(parameter.numel() for parameter in build(config).parameters())


def test_half_precision_products_leave_the_parameters_alone() -> None:
    model = build(CONFIG, seed=1)
    model.compute_dtype = torch.bfloat16
    hidden = run(model, [torch.arange(20)])
    assert hidden.dtype == torch.bfloat16
    hidden.float().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_mistakes_in_a_recipe_are_explained() -> None:
    with pytest.raises(UserError, match="not a multiple of heads"):
        validate(ModelSettings, {"hidden": 100, "heads": 3}, source="recipe.yaml")
    with pytest.raises(ValueError, match="not a multiple of kv_heads"):
        DecoderConfig.model_validate(CONFIG.canonical() | {"kv_heads": 3})


def test_settings_are_read_without_torch() -> None:
    code = "import sys, tilth.model, tilth.training, tilth.training.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def kept_by(layer: Linear, given: torch.Tensor) -> list[torch.dtype]:
    """What is kept for the backward pass."""
    kept: list[torch.dtype] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.dtype)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(given)
    return kept


def test_a_weight_that_is_cast_again_gives_the_gradients_of_the_copy_that_is_kept() -> None:
    torch.manual_seed(0)
    x, upstream = torch.randn(40, 24).to(torch.bfloat16), torch.randn(40, 16).to(torch.bfloat16)
    found = []
    for again in (False, True):
        torch.manual_seed(1)
        layer, given = Linear(24, 16), x.clone().requires_grad_()
        layer.casts_again = again
        kept = kept_by(layer, given)
        assert (torch.float32 in kept) == again, "the weight itself is kept, and its copy is not"
        out = layer(given)
        out.backward(upstream)
        assert given.grad is not None
        assert layer.weight.grad is not None
        assert layer.bias.grad is not None
        found.append([out.detach(), given.grad, layer.weight.grad, layer.bias.grad])
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(other, one, rtol=1e-2, atol=1e-2)


def test_a_recipe_may_stretch_its_rotary_positions_and_older_ones_keep_their_fingerprint() -> None:
    scaling = {"factor": 8.0, "low_frequency_factor": 1.0, "high_frequency_factor": 4.0, "original_positions": 512}
    settings = ModelSettings.model_validate({"rope_scaling": scaling, "activation": "relu"})
    assert settings.config(50).rope_scaling == settings.rope_scaling
    assert settings.canonical()["rope_scaling"] == scaling
    later = {"rope_scaling", "activation", "norm", "initialisation", "mup"}
    assert not later & ModelSettings().canonical().keys()
    assert later & CONFIG.canonical().keys() == {"rope_scaling"}, "decoder.json always had it"
    with pytest.raises(UserError, match="low_frequency_factor must be below high_frequency_factor"):
        validate(ModelSettings, {"rope_scaling": scaling | {"low_frequency_factor": 5.0}}, source="recipe.yaml")
