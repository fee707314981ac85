"""The chunked head and loss against the dense definition."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tilth.model import linear_cross_entropy, loss
from tilth.model.loss import token_log_probabilities


def inputs(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(100, 16, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(37, 16, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(-1, 37, (100,), generator=generator)


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
@pytest.mark.parametrize(("chunk", "compiled"), [(1, False), (32, False), (100, False), (1000, False), (50, True)])
def test_equals_the_dense_loss(chunk: int, z_loss: float, compiled: bool, share: float) -> None:
    """With `share` of the targets taken away, a chunk is filled up with tokens without one, or there is none."""
    if compiled and not shutil.which("g++"):
        pytest.skip("there is no C++ compiler")
    hidden, weight, targets = inputs(torch.float64)
    targets[torch.rand(100, generator=torch.Generator().manual_seed(2)) < share] = -1
    total, losses = linear_cross_entropy(hidden, weight, targets, 0.3, z_loss, chunk=chunk, compiled=compiled)
    logits = hidden @ weight.T
    expected = F.cross_entropy(logits, targets, ignore_index=-1, reduction="none")
    squares = z_loss * logits.logsumexp(-1).square() * (targets >= 0)
    reference = 0.3 * (expected + squares).sum()
    assert torch.allclose(losses, expected, atol=1e-12)
    assert float(total) == pytest.approx(float(reference), abs=1e-12)
    pairs = zip(
        torch.autograd.grad(2 * total, (hidden, weight)),
        torch.autograd.grad(2 * reference, (hidden, weight)),
        strict=True,
    )
    assert max(float((a - b).abs().max()) for a, b in pairs) <= 1e-12


def test_no_logits_are_made_where_there_is_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = loss._softmax_and_gradient_eager

    def counted(logits_CV: torch.Tensor, *rest: Any) -> Any:
        made.append(len(logits_CV))
        return original(logits_CV, *rest)

    monkeypatch.setattr(loss, "_kernel", lambda compiled: counted)
    hidden, weight, targets = inputs(torch.float64)
    targets[:] = torch.where(torch.arange(100) % 4 == 1, targets.clamp_min(0), -1)  # 25 of 100
    linear_cross_entropy(hidden, weight, targets, chunk=10)
    assert made == [10, 10, 10]


def test_half_precision_sums_in_fp32() -> None:
    hidden, weight, targets = inputs(torch.float32)
    half = hidden.detach().bfloat16().requires_grad_()
    total, losses = linear_cross_entropy(half, weight, targets, 1 / 80)
    assert losses.dtype == total.dtype == torch.float32
    reference, _ = linear_cross_entropy(
        half.detach().float().requires_grad_(), weight.bfloat16().float(), targets, 1 / 80
    )
    assert float(total) == pytest.approx(float(reference), rel=5e-3)
    (gradient,) = torch.autograd.grad(total, weight)
    assert gradient.dtype == torch.float32


def test_without_gradients_nothing_is_kept() -> None:
    hidden, weight, targets = inputs(torch.float32)
    with torch.no_grad():
        total, losses = linear_cross_entropy(hidden, weight, targets)
    assert not total.requires_grad
    assert float(total) == pytest.approx(float(losses.sum()), rel=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("chunk", [1, 32, None])
def test_log_probabilities_equal_log_softmax(chunk: int | None, share: float) -> None:
    """With `share` of the targets taken away, a chunk may be empty or reach far."""
    hidden, weight, targets = inputs(torch.float64)
    targets[torch.rand(100, generator=torch.Generator().manual_seed(2)) < share] = -1
    found = token_log_probabilities(hidden, weight, targets, chunk=chunk)
    dense = torch.log_softmax(hidden @ weight.T, -1).gather(1, targets.clamp_min(0)[:, None])[:, 0]
    expected = torch.where(targets >= 0, dense, 0.0)
    assert found.dtype == torch.float64
    assert (found - expected).abs().max() <= 1e-12
    factor = torch.randn(100, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pairs = zip(
        *(torch.autograd.grad((factor * x.exp()).sum(), (hidden, weight)) for x in (found, expected)), strict=True
    )
    assert max(float((a - b).abs().max()) for a, b in pairs) <= 1e-12


def test_log_probabilities_pass_gradcheck() -> None:
    hidden, weight, targets = inputs(torch.float64)
    small, part = hidden.detach()[:7].requires_grad_(), targets[:7]
    assert torch.autograd.gradcheck(lambda x, w: token_log_probabilities(x, w, part, chunk=3), (small, weight))


def test_log_probabilities_agree_with_the_loss_in_half_precision() -> None:
    hidden, weight, targets = inputs(torch.float32)
    half = hidden.detach().bfloat16().requires_grad_()
    found = token_log_probabilities(half, weight, targets)
    total, losses = linear_cross_entropy(half, weight, targets, 1 / 80)
    assert found.dtype == torch.float32
    assert (found + losses).abs().max() <= 1e-6
    gradients = (torch.autograd.grad(x, (half, weight)) for x in (-found.sum() / 80, total))
    for a, b in zip(*gradients, strict=True):
        assert a.dtype == b.dtype
        assert (a - b).abs().max() <= 1e-6


def test_frozen_weights_have_no_gradient() -> None:
    hidden, weight, targets = inputs(torch.float32)
    token_log_probabilities(hidden, weight.detach(), targets).sum().backward()
    assert hidden.grad is not None
    with torch.no_grad():
        assert not token_log_probabilities(hidden, weight, targets).requires_grad
