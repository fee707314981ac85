"""Products in 8-bit floats: rounding against a table of all values, both passes against fp64, and training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.phases import COMPUTE, digest, phase, train
from tilth.base.errors import UserError
from tilth.model import ModelSettings, float8
from tilth.pipeline.checks import check_recipe
from tilth.pipeline.recipe import load_recipe

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2


def nearest(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Each value rounded by looking through all that the format has; of two as near the one with an even last bit."""
    codes = torch.arange(256, dtype=torch.uint8)
    values = codes.view(dtype).double()
    there = values.isfinite()
    codes, values = codes[there], values[there]
    far = (x.double().reshape(-1, 1) - values).abs()
    tied = torch.where(far == far.min(1, keepdim=True).values, (codes & 1).int(), 2)
    return values[tied.argmin(1)].view(x.shape)


def by_hand(x: Tensor, dtype: torch.dtype) -> Tensor:
    """What the rounding keeps of x, in fp64."""
    scale = 2.0 ** np.floor(np.log2(torch.finfo(dtype).max / float(x.abs().max().double())))
    return nearest(x.double() * scale, dtype) / scale


@pytest.mark.parametrize("dtype", [E4M3, E5M2])
@pytest.mark.parametrize("size", [1.0, 3e-7, 2e5])
def test_rounding_keeps_the_nearest_value_under_a_power_of_two(dtype: torch.dtype, size: float) -> None:
    x = torch.randn(32, 16, generator=torch.Generator().manual_seed(0)).mul_(size).to(torch.bfloat16)
    found, back = float8.rounded(x, dtype)
    assert torch.log2(back) == torch.log2(back).round()
    assert found.float().abs().max() > torch.finfo(dtype).max / 2 - 1, "the range is used to its upper half"
    torch.testing.assert_close(found.double() * back.double(), by_hand(x, dtype), rtol=0, atol=0)


@pytest.mark.parametrize("value", [0.0, 448.0, 449.0, 1e-38, 3e38])
def test_no_value_leaves_the_range(value: float) -> None:
    found, back = float8.rounded(torch.tensor([value, -value]), E4M3)
    kept = found.float() * back
    assert kept.isfinite().all()
    assert abs(float(kept[0]) - value) <= max(value / 16, 2**-100)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_what_is_not_finite_is_seen(value: float) -> None:
    x, weight = torch.ones(16, 16, dtype=torch.bfloat16), torch.ones(16, 16)
    x[3, 3] = value
    assert not float8.product(x, weight).isfinite().any()


def factors() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, weight, grad = (torch.randn(*shape, generator=generator) for shape in ((48, 32), (64, 32), (48, 64)))
    return x.to(torch.bfloat16), weight * 0.02, (grad * 1e-5).to(torch.bfloat16)


def test_both_passes_are_products_of_what_rounding_keeps() -> None:
    x, weight, grad = factors()
    given, trained = x.clone().requires_grad_(), weight.clone().requires_grad_()
    out = float8.product(given, trained)
    out.backward(grad)
    assert given.grad is not None
    assert trained.grad is not None
    assert (out.dtype, given.grad.dtype, trained.grad.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    kept_x, kept_weight, kept_grad = by_hand(x, E4M3), by_hand(weight, E4M3), by_hand(grad, E5M2)
    for found, expected in (
        (out, kept_x @ kept_weight.T), (given.grad, kept_grad @ kept_weight), (trained.grad, kept_grad.T @ kept_x)
    ):  # fmt: skip
        error = (found.double() - expected).abs().max() / expected.abs().max()
        assert error < (2**-8 if found.dtype == torch.bfloat16 else 1e-6)
    assert (out.double() - x.double() @ weight.double().T).norm() < 0.06 * out.double().norm()


def test_compiled_as_eager() -> None:
    x, weight, grad = factors()
    found = []
    for multiply in (float8.product, torch.compile(float8.product, dynamic=False)):
        given, trained = x.clone().requires_grad_(), weight.clone().requires_grad_()
        out = multiply(given, trained)
        out.backward(grad)
        found.append((out.detach(), given.grad, trained.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-9)


def test_a_model_learns_as_in_bf16(tmp_path: Path) -> None:
    """And recomputation gives the same bits."""
    start = ModelSettings(hidden=32, heads=2, layers=2).config(64)
    curves, digests = {}, {}
    for precision, recompute in (("bf16", "none"), ("fp8", "none"), ("fp8", "selective"), ("fp8", "full")):
        folder = tmp_path / f"{precision}-{recompute}"
        compute = COMPUTE.model_copy(update={"recompute": recompute, "checkpoint_steps": 100})
        train(folder, phase(20, precision=precision), start=start, compute=compute)
        curves[precision] = [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()]
        digests[precision, recompute] = digest(folder)
    assert curves["bf16"][-1] < curves["bf16"][0] - 0.1
    np.testing.assert_allclose(curves["fp8"], curves["bf16"], atol=0.02)
    assert len({digests["fp8", recompute] for recompute in ("none", "selective", "full")}) == 1
    assert digests["fp8", "none"] != digests["bf16", "none"]


RECIPE = """
corpus: {{sources: [{{path: a.txt, domain: notes}}], holdout: {{minimum: 1}}}}
model: {{hidden: {hidden}, layers: 1, heads: 2, max_positions: 128}}
pretrain: [{{tokens: 1k, sequence_length: {length}, precision: fp8}}]
"""


@pytest.mark.parametrize(
    ("hidden", "length", "message"),
    [(64, 128, None), (72, 128, "hidden to be a multiple of 16; it is 72"), (64, 100, "sequence_length .* it is 100")],
)
def test_sides_that_no_tensor_core_takes_are_refused(
    hidden: int, length: int, message: str | None, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("text\n")
    (tmp_path / "r.yaml").write_text(RECIPE.format(hidden=hidden, length=length))
    recipe = load_recipe(tmp_path / "r.yaml", [])
    if message is None:
        check_recipe(recipe, tmp_path)
        return
    with pytest.raises(UserError, match=message) as caught:
        check_recipe(recipe, tmp_path)
    assert "pretrain.main.precision" in str(caught.value)
