"""muP: against table 8 written out with multipliers, and the coordinate check."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.fakes import FakeReader
from tilth.base.errors import UserError
from tilth.base.settings import validate
from tilth.model import Decoder, ModelSettings, build, export_model, import_model, linear_cross_entropy
from tilth.model.mup import factors
from tilth.training import OptimizerSettings, make_batch
from tilth.training.optimizers import Optimizers

READER = FakeReader(length=64, sizes=(64,), vocabulary=64)
ADAMW = {"kind": "adamw", "learning_rate": 1e-2, "weight_decay": 0.0}


def batch(step: int = 0) -> Any:
    return make_batch([READER.read(0, step % 16 * 4 + row) for row in range(4)])


def shape(width: int, mup: dict[str, int] | None, **options: Any) -> ModelSettings:
    options = {"hidden": width, "heads": width // 16, "layers": 2, "initial_std": 0.1, **options}
    return ModelSettings.model_validate(options | ({"mup": mup} if mup else {}))


def loss_of(model: Decoder, hidden_factor: float = 1.0, step: int = 0) -> torch.Tensor:
    part = batch(step)
    hidden_NH = model(part.tokens, part.positions, part.boundaries) * hidden_factor
    return linear_cross_entropy(hidden_NH, model.head_weight, part.targets, 1 / part.target_count)[0]


@pytest.mark.parametrize("qk_norm", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_table_8_with_multipliers_takes_the_same_way(qk_norm: bool, tied: bool) -> None:
    """The paper's own form: logits times 1 / m, scores times √D₀ / D, Adam at rate / m for the hidden matrices."""
    options = {"qk_norm": qk_norm, "tie_embeddings": tied, "heads": 4, "output_projections": "normal"}
    base = {"hidden": 32, "head_dim": 8}
    ours = build(shape(128, base, **options).config(64), seed=1, dtype=torch.float64)
    settings = OptimizerSettings.model_validate(ADAMW | {"eps": 1e-30})
    optimizers = Optimizers(ours, settings, torch.float64)
    theirs = build(shape(128, None, **options).config(64), seed=1, dtype=torch.float64)
    width, attention = 128 / 32, math.sqrt(8) / 32 * math.sqrt(32)  # of the scale 1 / √D that there is
    rates = []
    for name, parameter in theirs.named_parameters():
        hidden = parameter.ndim == 2 and name.startswith("blocks.")
        with torch.no_grad():
            parameter.mul_(1 / math.sqrt(width) if hidden else 1.0)
        rates.append({"params": [parameter], "lr": 1e-2 / width if hidden else 1e-2})
    for block in theirs.blocks:
        queries = block.attention.query_norm if qk_norm else block.attention.query
        queries.register_forward_hook(lambda _, __, out: out * attention)
    adam = torch.optim.Adam(rates, betas=(0.9, 0.95), eps=1e-30)
    for step in range(6):
        losses = loss_of(ours, step=step), loss_of(theirs, 1 / width, step)
        assert float(losses[0].detach()) == pytest.approx(float(losses[1].detach()), abs=1e-9)
        for model, loss in zip((ours, theirs), losses, strict=True):
            model.zero_grad()
            loss.backward()
        optimizers.step(1.0)
        adam.step()
    there = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        factor = 1 / width if name == "norm.weight" else 1.0
        if name.endswith("query_norm.weight") or (name.endswith("query.weight") and not qk_norm):
            factor = attention
        assert float((parameter - factor * there[name]).abs().max()) <= 1e-9, name


def sizes(width: int, optimizer: dict[str, Any], mup: bool) -> np.ndarray:
    """Mean absolute value of the residual stream's and the logits' change in five steps."""
    model = build(shape(width, {"hidden": 64} if mup else None, initial_std=0.01).config(64), seed=2)
    optimizers = Optimizers(model, OptimizerSettings.model_validate(optimizer), torch.float32)
    part, streams = batch(), list[torch.Tensor]()
    model.norm.register_forward_pre_hook(lambda _, inputs: streams.append(inputs[0].detach()))
    logits = []
    for step in range(6):
        with torch.no_grad():
            logits.append(model.logits(model(part.tokens, part.positions, part.boundaries)))
        if step < 5:
            model.zero_grad()
            loss_of(model).backward()
            streams.pop()
            optimizers.step(1.0)
    return np.array([float((x[-1] - x[0]).abs().mean()) for x in (streams, logits)])


@pytest.mark.parametrize(("optimizer", "growth"), [(ADAMW, 0.5), ({"kind": "muon", "weight_decay": 0.0}, 0.3)])
def test_coordinates_keep_their_size_at_any_width(optimizer: dict[str, Any], growth: float) -> None:
    """Slope of log size over log width, 64 to 512: about 0 in muP, well above without (the paper's figure 5)."""
    widths = [64, 128, 256, 512]
    slopes = {
        mup: np.polyfit(np.log2(widths), np.log2([sizes(width, optimizer, mup) for width in widths]), 1)[0]
        for mup in (True, False)
    }
    print(optimizer["kind"], {mup: slope.round(2).tolist() for mup, slope in slopes.items()})
    assert np.abs(slopes[True]).max() <= 0.15
    assert slopes[False].max() >= growth


def test_the_base_is_as_without() -> None:
    plain, base = (build(shape(64, mup).config(64), seed=1) for mup in (None, {"hidden": 64}))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), base.parameters(), strict=True))
    kinds = [Optimizers(model, OptimizerSettings(), torch.float32).parts for model in (plain, base)]
    assert [[g["lr"] for g in part.param_groups] for part in kinds[0]] == [
        [g["lr"] for g in part.param_groups] for part in kinds[1]
    ]


@pytest.mark.parametrize("qk_norm", [True, False])
def test_an_exported_folder_needs_no_multipliers(qk_norm: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    options = {"qk_norm": qk_norm, "heads": 4, "output_projections": "normal"}
    model = build(shape(128, {"hidden": 32, "head_dim": 8}, **options).config(64), seed=1)
    export_model(model, tmp_path)
    part = make_batch([READER.read(0, 3)])
    count = int(part.boundaries.offsets[1])
    with torch.no_grad():
        expected = model.logits(model(part.tokens, part.positions, part.boundaries))[:count]
        again = import_model(tmp_path)
        assert torch.equal(again.logits(again(part.tokens, part.positions, part.boundaries))[:count], expected)
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
        found = theirs(part.tokens[None, :count].long()).logits[0]
    assert float((found - expected).abs().max()) <= 1e-5


def test_rate_times_decay_does_not_hang_on_the_width() -> None:
    model = build(shape(256, {"hidden": 64}).config(64), seed=1)
    optimizers = Optimizers(model, OptimizerSettings.model_validate(ADAMW | {"weight_decay": 0.1}), torch.float32)
    groups = [group for part in optimizers.parts for group in part.param_groups]
    assert sorted(group["lr"] for group in groups) == pytest.approx([2.5e-3, 2.5e-3, 1e-2])
    assert {round(group["lr"] * group["weight_decay"], 12) for group in groups} == {0.0, 1e-3}


def test_an_update_that_grows_with_the_width_is_refused() -> None:
    model = build(shape(128, {"hidden": 64}).config(64), seed=1)
    with pytest.raises(UserError, match="muon_scale: adamw"):
        Optimizers(model, OptimizerSettings(kind="muon", muon_scale="adamw"), torch.float32)


def test_what_does_not_go_together() -> None:
    for wrong, message in (
        ({"initialisation": "t_fixup", "mup": {"hidden": 64}}, "mup would do nothing"),
        ({"initialisation": "t_fixup", "initial_std": 0.1}, "initial_std would do nothing"),
        ({"norm": "none"}, "set initialisation: t_fixup"),
        ({"norm": "batch"}, "mixes a token with those behind it"),
        ({"mup": {"width": 3}}, "mup.width"),
        ({"mup": {"hidden": 100}}, "hidden 100 would have 1.562 heads of width 64; set mup.hidden to a multiple of 64"),
        ({"mup": {"hidden": 100, "head_dim": 24}}, "4.167 heads of width 24; set mup.hidden to a multiple of 24"),
        ({"head_dim": 128, "mup": {"hidden": 96}}, "1.5 heads of width 128; set mup.hidden to a multiple of 64"),
    ):
        with pytest.raises(UserError, match=message):
            validate(ModelSettings, wrong, source="recipe.yaml")


@pytest.mark.parametrize("qk_norm", [True, False])
def test_the_multiplier_of_attention_stands_once(qk_norm: bool) -> None:
    """In all that scales the queries last, biases too; queries' weights else move with the width as the keys' do."""
    config = shape(128, {"hidden": 32, "head_dim": 8}, heads=4, qk_norm=qk_norm, qkv_bias=True).config(64)
    found = {name: factors(config, name) for name, _ in build(config).named_parameters()}
    attention, query = math.sqrt(8 / 32), "blocks.0.attention.query"
    assert found["norm.weight"] == (1 / 4,) * 3
    assert found["blocks.1.feed_forward.down.weight"] == (1 / 2, 1 / 4, 1)
    assert found["embedding.weight"] == found["blocks.0.attention_norm.weight"] == (1, 1, 1)
    if qk_norm:
        assert found[f"{query}_norm.weight"] == (attention,) * 3
        assert found[f"{query}.weight"] == found["blocks.0.attention.key.weight"] == (1 / 2, 1 / 4, 1)
        assert found[f"{query}.bias"] == (1, 1, 1)
    else:
        assert found[f"{query}.weight"] == (attention / 2, attention / 4, attention)
        assert found[f"{query}.bias"] == (attention,) * 3
