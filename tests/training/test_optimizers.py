"""Optimizers against their papers' algorithms in numpy, and which parameter goes where."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.reference import optimizers as twin
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
