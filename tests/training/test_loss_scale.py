"""fp16: the loss is scaled, an overflow halves the scale and is not learnt from, all of it resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.phases import MODEL, digest, phase, train
from tests.training.test_resume import Stop, stop_at
from tilth.base.events import read_journal
from tilth.model import build, linear_cross_entropy
from tilth.training import loss_scale
from tilth.training.loss_scale import LossScale

FP16 = phase(12, precision="fp16", optimizer={"kind": "adamw", "learning_rate": 3e-3}, compile="off")


def losses(folder: Path) -> list[float]:
    return [record["loss"] for record in read_journal(folder / "metrics.jsonl")]


def test_the_scale_falls_at_an_overflow_and_rises_again() -> None:
    scale = LossScale(active=True)
    assert scale.note(1.0) is None
    assert "falls to 32768" in (scale.note(float("inf")) or "")
    for _ in range(loss_scale.GROWTH_STEPS - 1):
        scale.note(1.0)
    kept = LossScale(active=True)
    kept.load_state_dict(scale.state_dict())
    assert scale.value == 32768
    assert scale.is_overflow(2.0, float("inf"))
    assert not scale.is_overflow(float("nan"), float("nan")), "the forward pass itself is broken"
    assert not scale.is_overflow(2.0, 1.0)
    scale.value = loss_scale.LEAST
    assert not scale.is_overflow(2.0, float("inf")), "nothing is left to scale"
    scale.value = 32768
    for one in (scale, kept):
        one.note(1.0)
        assert one.value == 65536
    idle = LossScale(active=False)
    assert (idle.note(float("nan")), idle.value) == (None, 1.0)


def test_small_gradients_vanish_without_it() -> None:
    """Of a million tokens each has a millionth of the gradient: nothing in fp16, unless the factor is foreseen."""
    torch.manual_seed(0)
    hidden, weight = torch.randn(32, 16, dtype=torch.float64) * 0.1, torch.randn(64, 16, dtype=torch.float64) * 0.1
    targets = torch.randint(64, (32,))
    found: dict[Any, torch.Tensor] = {}
    for dtype, factor in ((torch.float64, 1.0), (torch.float16, 1.0), (torch.float16, 2.0**14)):
        x = hidden.clone().to(dtype).requires_grad_()
        w = weight.clone().to(torch.float64 if dtype == torch.float64 else torch.float32).requires_grad_()
        total, _ = linear_cross_entropy(x, w, targets, 1e-7, foreseen=factor)
        (total * factor).backward()
        assert w.grad is not None
        found[dtype, factor] = w.grad.double() / factor
    exact = found[torch.float64, 1.0]
    errors = [float((found[torch.float16, f] - exact).norm() / exact.norm()) for f in (1.0, 2.0**14)]
    assert errors[0] > 0.3
    assert errors[1] < 0.01


def test_fp16_trains_as_fp32_does(tmp_path: Path) -> None:
    train(tmp_path / "half", FP16)
    train(tmp_path / "full", FP16.model_copy(update={"precision": "fp32"}))
    assert losses(tmp_path / "half") == pytest.approx(losses(tmp_path / "full"), rel=5e-3)
    assert not list(read_journal(tmp_path / "half" / "decisions.jsonl"))


def test_overflows_are_skipped_written_down_and_resumed_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_scale, "FIRST", 2.0**24)
    monkeypatch.setattr(loss_scale, "GROWTH_STEPS", 3)
    train(tmp_path / "whole", FP16)
    skips = list(read_journal(tmp_path / "whole" / "decisions.jsonl"))
    assert skips
    assert {skip["decision"] for skip in skips} == {"skip_update"}
    assert skips[0]["reason"] == "the gradient overflows fp16; the loss scale of fp16 falls to 8.38861e+06"
    assert not any("suspects" in skip or "sequences" in skip for skip in skips), "no document's fault"
    assert losses(tmp_path / "whole")[-1] < losses(tmp_path / "whole")[0]
    with pytest.raises(Stop):
        train(tmp_path / "stopped", FP16, on_event=stop_at(8))
    train(tmp_path / "stopped", FP16)
    assert digest(tmp_path / "stopped") == digest(tmp_path / "whole")


def test_a_model_is_not_scaled_by_itself() -> None:
    assert build(MODEL, None).loss_scale == 1.0
