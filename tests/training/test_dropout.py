"""Dropout: its share, its independence of layout, and where it is not."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing
from safetensors.torch import load_file

from tests.training.phases import MODEL, digest, phase, reader, train
from tests.training.test_ranks import assert_equal_runs, free_port, one_rank
from tilth.base.errors import UserError
from tilth.base.settings import validate
from tilth.model import build
from tilth.model.dropout import Dropout, drop, layer_keys, sequence_keys, token_keys
from tilth.training import PhaseSettings, make_batch

CPU = torch.device("cpu")
DROPOUT = {"embedding": 0.1, "residual": 0.2}


def keys(step: int = 0, rows: int = 4, tokens: int = 256, site: int = 1) -> torch.Tensor:
    return layer_keys(token_keys(sequence_keys(1, "stable", step, range(rows), CPU), tokens), site)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_and_the_mean(rate: float) -> None:
    """Binomial within five standard deviations: of all, of each channel, of each token."""
    found = drop(torch.ones(4096, 384), keys(tokens=4096), rate)
    assert found.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)])
    gone = (found == 0).double().numpy()
    for mean, count in ((gone.mean(), gone.size), (gone.mean(0), 4096), (gone.mean(1), 384)):
        assert np.abs(mean - rate).max() <= 5 * math.sqrt(rate * (1 - rate) / count)


def test_masks_of_different_places_are_independent() -> None:
    masks = [
        (drop(torch.ones(1024, 256), keys(step, tokens=1024, site=site), 0.5) == 0).double() - 0.5
        for step, site in product(range(2), range(4))
    ]
    flat = torch.stack(masks).flatten(1)
    found = torch.corrcoef(flat) - torch.eye(len(flat))
    assert float(found.abs().max()) <= 5 / math.sqrt(flat.shape[1])
    rows = torch.corrcoef(masks[0]) - torch.eye(1024)
    assert float(rows.abs().max()) <= 6 / math.sqrt(256), "tokens of one layer"


def test_every_phase_has_masks_of_its_own(tmp_path: Path) -> None:
    one, two = (sequence_keys(1, name, 0, range(64), CPU) for name in ("stable", "annealing"))
    assert not torch.isin(one, two).any()
    weights = []
    for name in ("stable", "annealing"):
        settings = phase(2, precision="fp32", dropout=DROPOUT).model_copy(update={"name": name})
        train(tmp_path / name, settings)
        weights.append(load_file(tmp_path / name / "model.safetensors")["embedding.weight"])
    assert not torch.equal(*weights)


def test_compiled_is_eager_and_gradients_pass_where_values_do() -> None:
    x = torch.randn(64, 48, requires_grad=True)
    one = drop(x, keys(tokens=64), 0.3)
    two = torch.compile(drop, dynamic=False)(x, keys(tokens=64), 0.3)
    assert torch.equal(one, two)
    one.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad != 0, one != 0)
    half = drop(x.detach().bfloat16(), keys(tokens=64), 0.3)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half == 0, one == 0)


def test_recomputed_layers_drop_the_same_and_evaluation_nothing() -> None:
    part = make_batch([reader().read(0, 1), reader().read(1, 2)])
    model, gradients = build(MODEL, seed=1), []
    inputs = part.tokens, part.positions, part.boundaries
    plain = model.eval()(*inputs)
    model.dropout = Dropout(0.1, 0.2)
    assert torch.equal(model(*inputs), plain)
    model.train()
    with pytest.raises(ValueError, match="sequence_keys"):
        model(*inputs)
    model.sequence_keys = sequence_keys(1, "stable", 2, (0, 1), CPU)
    for recompute in ("none", "selective", "full"):
        model.recompute = recompute  # type: ignore[assignment]
        model.zero_grad()
        out = model(*inputs)
        assert not torch.equal(out, plain)
        out.square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for other in gradients[1:] for a, b in zip(gradients[0], other, strict=True))


def test_accumulation_and_ranks_equal_one_process(tmp_path: Path) -> None:
    settings = phase(5, sequences=7, dropout=DROPOUT)
    train(tmp_path / "one", settings)
    train(tmp_path / "accumulated", settings.model_copy(update={"micro_batch": 2}))
    x, y = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "accumulated"))
    assert max(float((x[name] - y[name]).abs().max()) for name in x) <= 1e-10
    arguments = (2, free_port(), str(tmp_path / "many"), settings.canonical())
    torch.multiprocessing.spawn(one_rank, arguments, nprocs=2)
    assert_equal_runs(tmp_path / "one", tmp_path / "many")
    train(tmp_path / "none", phase(5, sequences=7))
    assert digest(tmp_path / "none") != digest(tmp_path / "one")


def test_resumed_equals_never_stopped(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint":
            raise Stop

    settings = phase(9, precision="fp32", dropout=DROPOUT)
    train(tmp_path / "whole", settings)
    with pytest.raises(Stop):
        train(tmp_path / "stopped", settings, on_event=stop)
    train(tmp_path / "stopped", settings)
    assert digest(tmp_path / "whole") == digest(tmp_path / "stopped")


def test_compiled_trains_alike(tmp_path: Path) -> None:
    results = [
        train(tmp_path / mode, phase(4, precision="fp32", dropout=DROPOUT, compile=mode)).loss for mode in ("on", "off")
    ]
    assert results[0] == pytest.approx(results[1], abs=1e-4)


def test_attention_dropout_is_refused_with_its_reason_and_none_leaves_the_fingerprint() -> None:
    with pytest.raises(UserError, match="hold no probabilities"):
        validate(PhaseSettings, {"tokens": 64, "dropout": {"attention": 0.0}}, source="recipe.yaml")
    assert "dropout" not in phase(2).shaping()
    assert phase(2, dropout=DROPOUT).shaping()["dropout"]["residual"] == 0.2
