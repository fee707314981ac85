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


@pytest.mark.parametrize(("outputs", "inputs"), [(48, 36), (17, 1), (1, 5), (300, 129)])
def test_in_fp32_neither_company_nor_threads_nor_the_keeping_of_bf16_changes_a_bit(outputs: int, inputs: int) -> None:
    generator = torch.Generator().manual_seed(outputs)
    weight = torch.randn(outputs, inputs, generator=generator).bfloat16()
    x = torch.randn(45, inputs, generator=generator)
    product, kept_whole = Product(weight, dtype=torch.float32), Product(weight.float())
    assert product.panels is not None
    assert product.panels.dtype == torch.bfloat16
    together = product(x)
    assert (together.double() - x.double() @ weight.double().T).abs().max() < 1e-4
    assert torch.equal(together, kept_whole(x))
    for count in range(1, 20):
        assert torch.equal(product(x[:count]), together[:count])
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            assert torch.equal(product(x.repeat(200, 1))[-45:], together)
    finally:
        torch.set_num_threads(threads)


def test_weights_in_bf16_are_packed_where_pytorch_has_all_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(8, 4).bfloat16()
    if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        assert Product(weight).packed is not None
    monkeypatch.setattr(products, "_OPERATORS", ("_no_such_operator",))
    assert Product(weight).packed is None
    assert Product(weight.double()).packed is None
