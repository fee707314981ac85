"""T-Fixup: sizes by the paper's rules, a decoder without norms, training without warm-up."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.fakes import FakeReader
from tilth.base.errors import UserError
from tilth.model import Boundaries, DecoderConfig, ModelSettings, build, export_model, generate, linear_cross_entropy
from tilth.training import OptimizerSettings, make_batch
from tilth.training.optimizers import Optimizers

OPTIONS = {"hidden": 64, "heads": 4, "layers": 12}
T_FIXUP = ModelSettings.model_validate(OPTIONS | {"norm": "none", "initialisation": "t_fixup"}).config(64)


def test_every_matrix_has_the_papers_size() -> None:
    """The factors as in the authors' code (layer6ai-labs/T-Fixup, b17e166): (9 L)^(-1/4) of an embedding."""
    config = T_FIXUP.model_copy(update={"hidden": 256, "intermediate": 640, "heads": 16, "vocabulary_size": 512})
    model, depth = build(config, seed=1), 0.67 * 12**-0.25
    expected = {"embedding.weight": (9 * 12) ** -0.25 * 256**-0.5}
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            assert name.endswith(("query_norm.weight", "key_norm.weight")), "no norm of the residual stream"
            continue
        scaled = name.rsplit(".", 2)[1] in ("value", "output", "up", "down")
        xavier = math.sqrt(2 / sum(parameter.shape)) * (depth if scaled else 1)
        assert float(parameter.std()) == pytest.approx(expected.get(name, xavier), rel=0.03), name
    assert config.parameter_count == sum(parameter.numel() for parameter in model.parameters())


def losses(config: DecoderConfig, rate: float, steps: int = 120) -> list[float]:
    """Of training at the full rate from the first step on."""
    model, reader = build(config, seed=1), FakeReader(length=64, sizes=(64,), vocabulary=64)
    settings = OptimizerSettings.model_validate({"kind": "adamw", "learning_rate": rate})
    optimizers, found = Optimizers(model, settings, torch.float32), []
    for step in range(steps):
        part = make_batch([reader.read(0, step % 16 * 4 + row) for row in range(4)])
        hidden_NH = model(part.tokens, part.positions, part.boundaries)
        loss, _ = linear_cross_entropy(hidden_NH, model.head_weight, part.targets, 1 / part.target_count)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(1.0)
        found.append(float(loss.detach()))
    return found


def test_it_trains_without_norms_and_warm_up() -> None:
    ours = losses(T_FIXUP, 1e-3)
    assert ours[0] == pytest.approx(math.log(64), abs=0.05)
    assert max(ours) < math.log(64) + 0.1, "no step throws it back"
    last = np.mean(ours[-5:])
    assert last < 1.5
    gpt2 = T_FIXUP.model_copy(update={"initialisation": "gaussian", "output_projections": "scaled"})
    other = np.mean(losses(gpt2, 1e-3)[-5:])
    assert other > last + 0.2, "GPT-2's sizes, without norms, learn more slowly"


def test_the_engine_computes_what_the_decoder_does() -> None:
    model = build(T_FIXUP, seed=3)
    prompt = [5, 7, 9, 11, 2, 40]
    (said,) = generate(model, [prompt], max_new=6)
    tokens = torch.tensor(prompt + said.tokens[:-1])
    with torch.no_grad():
        hidden = model(tokens, torch.arange(len(tokens)), Boundaries(torch.tensor([0, len(tokens)]).int(), 1))
        best = model.logits(hidden)[len(prompt) - 1 :].argmax(-1)
    assert said.tokens == best.tolist()


def test_no_folder_of_others_can_hold_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no architecture of transformers is without norms"):
        export_model(build(T_FIXUP, seed=1), tmp_path)
    assert not (tmp_path / "config.json").exists()
