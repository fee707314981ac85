"""Products with kept weights against the definition, in every dtype, for one row and for many."""

from __future__ import annotations

import pytest
import torch

from tilth.model import products
from tilth.model.products import Product


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 16, 70])
def test_a_product_is_weight_times_row_plus_bias(
    dtype: torch.dtype, packing: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packing:
        monkeypatch.setattr(products, "_packs", lambda weight: False)
    generator = torch.Generator().manual_seed(rows)
    weight, bias, x = (torch.randn(*shape, generator=generator).to(dtype) for shape in ((48, 36), (48,), (rows, 36)))
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-4, torch.bfloat16: 0.2}[dtype]
    for added in (None, bias):
        found = Product(weight, added)(x)
        expected = x.double() @ weight.double().T + (0 if added is None else added.double())
        assert found.dtype == dtype
        assert (found.double() - expected).abs().max() < tolerance


def test_weights_are_packed_where_pytorch_has_all_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(8, 4)
    if torch.backends.mkldnn.is_available():
        assert Product(weight).packed is not None
    monkeypatch.setattr(products, "_OPERATORS", ("_no_such_operator",))
    assert Product(weight).packed is None
    assert Product(weight.double()).packed is None
