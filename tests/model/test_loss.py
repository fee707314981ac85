"""The chunked head and loss against the dense definition."""

from __future__ import annotations

import shutil

import pytest
import torch
import torch.nn.functional as F

from tilth.model import linear_cross_entropy


def inputs(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(100, 16, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(37, 16, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(-1, 37, (100,), generator=generator)


@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
@pytest.mark.parametrize(("chunk", "compiled"), [(1, False), (32, False), (100, False), (1000, False), (50, True)])
def test_equals_the_dense_loss(chunk: int, z_loss: float, compiled: bool) -> None:
    if compiled and not shutil.which("g++"):
        pytest.skip("there is no C++ compiler")
    hidden, weight, targets = inputs(torch.float64)
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
