"""Every backend against the loops, values and gradients, on hostile packings."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.attention import attention
from tilth.model import Boundaries, attend


def tensors(tokens: int, heads: int, groups: int, width: int, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    shapes = [(tokens, heads, width), (tokens, groups, width), (tokens, groups, width), (tokens, heads, width)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def packing(lengths: list[int], rows: int = 1, padding: int = 0) -> Boundaries:
    offsets = [0, *torch.tensor(lengths).cumsum(0).tolist()]
    return Boundaries(torch.tensor(offsets + [offsets[-1]] * padding, dtype=torch.int32), rows)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.sampled_from([1, 2, 7, 8, 9, 31, 40]), min_size=1, max_size=6),
    heads=st.sampled_from([(1, 1), (4, 2), (3, 1)]),
    padding=st.integers(0, 3),
)
@pytest.mark.parametrize("backend", ["dense", "cpu"])
def test_backends_equal_the_loops(backend: str, lengths: list[int], heads: tuple[int, int], padding: int) -> None:
    q, k, v, grad = tensors(sum(lengths), *heads, 8, torch.float64)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    expected = attention(q, k, v, lengths)
    found = attend(q, k, v, packing(lengths, padding=padding), backend)
    assert (found - expected).abs().max() <= 1e-12
    pairs = zip(torch.autograd.grad(found, leaves, grad), torch.autograd.grad(expected, leaves, grad), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) <= 1e-12


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 2e-5), (torch.bfloat16, 4e-2), (torch.float16, 5e-3)],
)
@pytest.mark.parametrize("lengths", [[700], [300, 1, 399], [5] * 140])
def test_cpu_equals_dense_in_every_precision(dtype: torch.dtype, tolerance: float, lengths: list[int]) -> None:
    q, k, v, grad = tensors(700, 4, 2, 16, dtype)
    results = []
    for kind, backend in ((torch.float64, "dense"), (dtype, "cpu")):
        leaves = [x.to(kind).requires_grad_() for x in (q, k, v)]
        out = attend(*leaves, packing(lengths), backend)
        results.append([out, *torch.autograd.grad(out, leaves, grad.to(kind))])
    for expected, found in zip(*results, strict=True):
        assert (found.double() - expected).abs().max() <= tolerance * float(expected.detach().abs().max())


def test_rows_share_nothing_in_the_dense_backend() -> None:
    q, k, v, _ = tensors(64, 2, 2, 8, torch.float64)
    lengths = [10, 22, 32]
    assert torch.allclose(
        attend(q, k, v, packing(lengths, rows=2), "dense"), attend(q, k, v, packing(lengths), "dense"), atol=1e-14
    )


def test_compiled_sees_one_opaque_operation() -> None:
    q, k, v, grad = tensors(64, 2, 1, 8, torch.float32)
    leaves = [x.requires_grad_() for x in (q, k, v)]

    def forward(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, boundaries: Boundaries) -> torch.Tensor:
        return attend(q * 2, k, v, boundaries) + 1

    compiled = torch.compile(forward, fullgraph=True, backend="aot_eager")
    for lengths in ([64], [1, 20, 43]):
        boundaries = packing(lengths, padding=4 - len(lengths))
        expected, found = forward(q, k, v, boundaries), compiled(q, k, v, boundaries)
        assert torch.equal(expected, found)
        pairs = zip(torch.autograd.grad(found, leaves, grad), torch.autograd.grad(expected, leaves, grad), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
