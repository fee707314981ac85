"""Optimizers against their papers' algorithms in numpy, and which parameter goes where."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from tests.reference import optimizers as twin
from tilth.base.errors import UserError
from tilth.model import ModelSettings, build
from tilth.training import OptimizerSettings
from tilth.training.muon import Muon, orthogonalise
from tilth.training.optimizers import Optimizers

MODEL = ModelSettings(hidden=16, heads=2, kv_heads=1, layers=2, tie_embeddings=False, output_projections="normal")


def gradients(shape: tuple[int, ...], steps: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) * 10 ** rng.uniform(-3, 1) for _ in range(steps)]


@pytest.mark.parametrize("scale", ["shape", "adamw"])
@pytest.mark.parametrize("shape", [(8, 8), (6, 20), (20, 6)])
def test_muon_equals_its_twin(scale: str, shape: tuple[int, int]) -> None:
    matrices = [nn.Parameter(torch.from_numpy(np.random.default_rng(i).normal(size=shape))) for i in range(3)]
    optimizer = Muon(matrices, 0.02, momentum=0.9, weight_decay=0.1, scale=scale, dtype=torch.float64)
    twins = [twin.Muon(0.02, 0.9, 0.1, scale) for _ in matrices]
    expected = [matrix.detach().numpy().copy() for matrix in matrices]
    for gradient in gradients(shape, 10):
        for i, matrix in enumerate(matrices):
            matrix.grad = torch.from_numpy(gradient * (i + 1))
            expected[i] = twins[i].step(expected[i], gradient * (i + 1))
        optimizer.step()
    for matrix, value in zip(matrices, expected, strict=True):
        assert np.abs(matrix.detach().numpy() - value).max() <= 1e-12


def test_orthogonalised_singular_values_are_near_one() -> None:
    x = torch.randn(4, 24, 64, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float32, torch.bfloat16):
        values = torch.linalg.svdvals(orthogonalise(x, dtype).float())
        assert float(values.min()) > 0.6
        assert float(values.max()) < 1.3


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_model_moves_as_its_twins(kind: str) -> None:
    model = build(MODEL.config(24), seed=0).double()
    settings = OptimizerSettings.model_validate(
        {"kind": kind, "learning_rate": 3e-3, "betas": (0.9, 0.99)}
        | ({"muon_learning_rate": 2e-2} if kind == "muon" else {})
    )
    optimizers = Optimizers(model, settings, torch.float64)
    twins: dict[str, twin.AdamW | twin.Muon] = {}
    expected = {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim == 2 and name != "embedding.weight"
        if kind == "muon" and matrix and name != "head.weight":
            twins[name] = twin.Muon(2e-2, 0.95, 0.1, "shape")
        else:
            twins[name] = twin.AdamW(3e-3, (0.9, 0.99), 1e-8, 0.1 if matrix else 0.0)
    for step in range(6):
        for name, parameter in model.named_parameters():
            gradient = gradients(tuple(parameter.shape), 6)[step]
            parameter.grad = torch.from_numpy(gradient)
            expected[name] = twins[name].step(expected[name], gradient, 1 - step / 10)
        optimizers.step(1 - step / 10)
    for name, parameter in model.named_parameters():
        assert np.abs(parameter.detach().numpy() - expected[name]).max() <= 1e-10, name


def test_state_is_named_and_complete() -> None:
    model = build(MODEL.config(24), seed=0)
    state = Optimizers(model, OptimizerSettings(), torch.float32).state()
    assert set(state) == {
        f"{name}:{key}"
        for name, p in model.named_parameters()
        for key in (["momentum"] if p.ndim == 2 and name.startswith("blocks") else ["step", "exp_avg", "exp_avg_sq"])
    }


def moved(
    settings: dict[str, object], gradient: float = 0.0
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """All weights before and after a step with this gradient everywhere."""
    model = build(MODEL.config(24), seed=0).double()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizers = Optimizers(model, OptimizerSettings.model_validate(settings), torch.float64)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    optimizers.step(0.5)
    return before, {name: parameter.detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_l1_is_the_lassos_proximal_step_where_decay_is(kind: str) -> None:
    """Beside a gradient of zero nothing else moves a weight; thresholds are rate times l1, at half the rate."""
    before, after = moved({"kind": kind, "learning_rate": 4e-3, "weight_decay": 0.0, "l1": 5.0})
    rates = {"adamw": 4e-3, "muon": 6e-3}
    for name, was in before.items():
        hidden = was.ndim == 2 and name.startswith("blocks.")
        by = 0.5 * 5.0 * rates[kind if hidden else "adamw"] if hidden or name.startswith("head.") else 0.0
        expected = was.sign() * (was.abs() - by).clamp_min(0)
        assert float((after[name] - expected).abs().max()) <= 1e-12, name
        if by:
            assert 0.3 < float((after[name] == 0).double().mean()) < 0.9, "small weights are zero"


def test_groups_have_rates_and_decays_of_their_own() -> None:
    groups = [
        {"parameters": "embedding.*", "rate": 0.25, "weight_decay": 0.5},
        {"parameters": "blocks.0.*.weight", "weight_decay": 0.0},
        {"parameters": "*norm.weight", "rate": 2.0, "l1": 1.0},
    ]
    base = {"kind": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1}
    before, after = moved(base | {"groups": groups}, gradient=1.0)
    for name, was in before.items():  # Adam's first step is its rate, whatever the gradient's size
        rate, decay, l1 = 0.5e-3, 0.1 if was.ndim == 2 else 0.0, 0.0
        if name == "embedding.weight":
            rate, decay = 0.25 * rate, 0.5
        elif name.startswith("blocks.0."):
            decay = 0.0
        elif name.endswith("norm.weight"):
            rate, l1 = 2 * rate, 1.0
        expected = was * (1 - rate * decay) - rate - rate * l1
        assert float((after[name] - expected).abs().max()) <= 1e-9, name


def test_what_does_nothing_is_not_told() -> None:
    """A phase's and a step's fingerprint are what they were before there were groups."""
    assert not {"l1", "groups"} & OptimizerSettings().canonical().keys()
    told = OptimizerSettings.model_validate(
        {"l1": 0.5, "groups": [{"parameters": "embedding.*", "rate": 0.5}]}
    ).canonical()
    assert OptimizerSettings.model_validate(told).canonical() == told
    assert told["l1"] == 0.5


def test_a_group_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"no parameter is left that 'blocks\.9\.\*' matches"):
        moved({"groups": [{"parameters": "blocks.9.*", "rate": 0.5}]})


def test_a_group_that_changes_nothing_is_refused_and_one_that_shields_is_not() -> None:
    with pytest.raises(ValidationError, match="changes nothing: give it rate"):
        OptimizerSettings.model_validate({"groups": [{"parameters": "embedding.*"}]})
    shielded = [{"parameters": "blocks.0.*", "rate": 1.0}, {"parameters": "blocks.*", "rate": 0.5}]
    assert len(OptimizerSettings.model_validate({"groups": shielded}).groups) == 2


def test_another_decay_while_training_keeps_proportions() -> None:
    groups = [{"parameters": "blocks.0.*", "weight_decay": 0.05}]
    model = build(MODEL.config(24), seed=0)
    optimizers = Optimizers(model, OptimizerSettings.model_validate({"groups": groups}), torch.float32)
    optimizers.set_weight_decay(0.3)
    given = {group["weight_decay"] for part in optimizers.parts for group in part.param_groups}
    assert sorted(given) == pytest.approx([0.0, 0.15, 0.3])
    optimizers.set_weight_decay(None)
    given = {group["weight_decay"] for part in optimizers.parts for group in part.param_groups}
    assert sorted(given) == [0.0, 0.05, 0.1]
