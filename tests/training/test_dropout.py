"""What the model draws in training, dropout and NEFTune's noise: its share, its independence of layout."""

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

from tests.training.fakes import FakeSequence
from tests.training.phases import MODEL, digest, phase, reader, train
from tests.training.test_ranks import assert_equal_runs, free_port, one_rank
from tilth.base.errors import UserError
from tilth.base.settings import validate
from tilth.model import Decoder, build, draws
from tilth.model.adapters import AdapterSettings, attach, remove
from tilth.model.draws import Dropout, drop, sequence_keys, site_keys, token_keys
from tilth.training import PhaseSettings, make_batch

CPU = torch.device("cpu")
DROPOUT = {"embedding": 0.1, "residual": 0.2}
ADAPTER = AdapterSettings(rank=4, dropout=0.3)
ADAMW = {"kind": "adamw", "learning_rate": 1e-2}
DRAWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "dropout": ({"dropout": DROPOUT}, {}),
    "noise": ({}, {"embedding_noise": 5.0}),
    "adapter": ({"optimizer": ADAMW}, {"adapter": ADAPTER}),
    "all": ({"optimizer": ADAMW, "dropout": DROPOUT}, {"adapter": ADAPTER, "embedding_noise": 5.0}),
}
"""What may be drawn: settings of the phase, and of the job."""
drawn = pytest.mark.parametrize("kind", DRAWS)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    train(folder, phase(4))
    return folder


def drawing(kind: str) -> Decoder:
    """A model that draws in training, with an adapter that does something."""
    settings, job = DRAWS[kind]
    model = build(MODEL, seed=1).train()
    model.embedding_noise = job.get("embedding_noise", 0.0)
    model.dropout = Dropout(**settings.get("dropout", {}))
    if "adapter" in job:
        attach(model, job["adapter"], seed=2)
        for name, parameter in model.named_parameters():
            if name.endswith("lora_B"):
                torch.nn.init.constant_(parameter, 0.05)
    return model


def keys(step: int = 0, rows: int = 4, tokens: int = 256, site: int = 1) -> torch.Tensor:
    return site_keys(token_keys(sequence_keys(1, "stable", step, range(rows), CPU), tokens), site)


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


def test_noise_and_adapters_draw_apart_from_all_else() -> None:
    """Everything that is drawn in a step, of the places that there are: no two are alike."""
    found: list[torch.Tensor] = []

    def note(keys_N: torch.Tensor, channels: int) -> torch.Tensor:
        found.append(keys_N)
        return plain(keys_N, channels)

    model, part = drawing("all"), make_batch([reader().read(0, 1), reader().read(1, 2)])
    model.sequence_keys = sequence_keys(1, "stable", 0, range(2), CPU)
    plain, draws._draw = draws._draw, note
    try:
        model(part.tokens, part.positions, part.boundaries)
    finally:
        draws._draw = plain
    assert len(found) == 2 + 2 * (2 + 7)
    assert len(torch.stack(found).unique()) == 64 * len(found)


@drawn
def test_every_phase_has_draws_of_its_own(kind: str, base: Path, tmp_path: Path) -> None:
    one, two = (sequence_keys(1, name, 0, range(64), CPU) for name in ("stable", "annealing"))
    assert not torch.isin(one, two).any()
    weights = []
    for name in ("stable", "annealing"):
        settings = phase(2, precision="fp32", **DRAWS[kind][0]).model_copy(update={"name": name})
        train(tmp_path / name, settings, start=base, fresh=True, **DRAWS[kind][1])
        weights.append(load_file(tmp_path / name / "model.safetensors")["blocks.0.feed_forward.up.weight"])
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


@drawn
def test_recomputed_layers_draw_the_same_and_evaluation_nothing(kind: str) -> None:
    part = make_batch([reader().read(0, 1), reader().read(1, 2)])
    model, gradients = drawing(kind), list[list[torch.Tensor]]()
    inputs = part.tokens, part.positions, part.boundaries
    plain = model.eval()(*inputs)
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


def test_a_removed_adapter_leaves_no_dropout() -> None:
    model = drawing("adapter")
    remove(model)
    part = make_batch([reader().read(0, 1)])
    inputs = part.tokens, part.positions, part.boundaries
    assert torch.equal(model(*inputs), model.eval()(*inputs))


@drawn
def test_packed_equals_alone(kind: str) -> None:
    """A document's values hang on where it stands in its sequence, not on what stands beside it."""
    model, (length, at, size) = drawing(kind).double(), (32, 11, 13)
    model.sequence_keys = sequence_keys(1, "stable", 2, [3], CPU)
    ids = np.arange(length, dtype=np.int32) * 7 % 64

    def states(beside: np.ndarray, lengths: list[int]) -> torch.Tensor:
        inputs = beside.copy()
        inputs[at : at + size] = ids[at : at + size]
        documents = np.arange(len(lengths), dtype=np.int64)
        part = make_batch([FakeSequence(inputs, inputs.astype(np.int64), np.array(lengths, np.int32), documents)])
        return model(part.tokens, part.positions, part.boundaries)[at : at + size]

    alone = states(np.zeros(length, np.int32), [at, size, length - at - size])
    packed = states(ids[::-1], [4, at - 4, size, 3, length - at - size - 3])
    assert torch.equal(alone, packed)
    model.eval()
    assert not torch.equal(states(ids, [at, size, length - at - size]), alone)


@drawn
def test_accumulation_and_ranks_equal_one_process(kind: str, base: Path, tmp_path: Path) -> None:
    settings, job = phase(5, sequences=7, **DRAWS[kind][0]), {"start": base, "fresh": True, **DRAWS[kind][1]}
    train(tmp_path / "one", settings, **job)
    train(tmp_path / "accumulated", settings.model_copy(update={"micro_batch": 2}), **job)
    x, y = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "accumulated"))
    assert max(float((x[name] - y[name]).abs().max()) for name in x) <= 1e-10
    arguments = (2, free_port(), str(tmp_path / "many"), settings.canonical(), job)
    torch.multiprocessing.spawn(one_rank, arguments, nprocs=2)
    assert_equal_runs(tmp_path / "one", tmp_path / "many")
    undrawn = {"adapter": ADAPTER.model_copy(update={"dropout": 0.0})} if "adapter" in job else {}
    plain = settings.model_copy(update={"dropout": phase(5).dropout})
    train(tmp_path / "none", plain, **job | undrawn | {"embedding_noise": 0.0})
    assert digest(tmp_path / "none") != digest(tmp_path / "one")


@drawn
def test_resumed_equals_never_stopped(kind: str, base: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint":
            raise Stop

    job = {"start": base, "fresh": True, **DRAWS[kind][1]}
    settings = phase(9, precision="fp32", **DRAWS[kind][0])
    train(tmp_path / "whole", settings, **job)
    with pytest.raises(Stop):
        train(tmp_path / "stopped", settings, on_event=stop, **job)
    train(tmp_path / "stopped", settings, **job)
    assert digest(tmp_path / "whole") == digest(tmp_path / "stopped")


def test_compiled_trains_alike(base: Path, tmp_path: Path) -> None:
    settings, job = DRAWS["all"]
    results = [
        train(tmp_path / mode, phase(4, precision="fp32", compile=mode, **settings), start=base, fresh=True, **job).loss
        for mode in ("on", "off")
    ]
    assert results[0] == pytest.approx(results[1], abs=1e-4)


def test_attention_dropout_is_refused_with_its_reason_and_none_leaves_the_fingerprint() -> None:
    with pytest.raises(UserError, match="hold no probabilities"):
        validate(PhaseSettings, {"tokens": 64, "dropout": {"attention": 0.0}}, source="recipe.yaml")
    assert "dropout" not in phase(2).shaping()
    assert phase(2, dropout=DROPOUT).shaping()["dropout"]["residual"] == 0.2
