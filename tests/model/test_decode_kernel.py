"""The kernel that adds a token to every row, against the same step by PyTorch, and against itself in other company."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numba import njit

from tests.model.test_engine import CASES, PROMPTS, WITHOUT_KERNEL, decoder
from tilth.model import Decoder, Engine
from tilth.model.inference import InferenceDecoder
from tilth.model.kernels import decode
from tilth.model.kernels import rows as row_kernels

WIDE = {"hidden": 64, "head_dim": 20, "kv_heads": 2, "intermediate": 96}
"""A width of heads that no vector register divides."""


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def logits_of(model: Decoder, steps: int, *, kernel: bool = True, rows: int | None = None) -> list[torch.Tensor]:
    """The logits of all prompts behind each of `steps` greedy tokens, by the kernel or by PyTorch."""
    engine = Engine(model)
    if not kernel:
        engine.decoder._step = None
    seen: list[torch.Tensor] = []
    original = engine.decoder.logits
    engine.decoder.logits = lambda x: seen.append(original(x)) or seen[-1]  # type: ignore
    engine.run([engine.submit(prompt, max_new=steps) for prompt in PROMPTS[:rows]])
    return seen


@pytest.mark.parametrize("options", [*CASES.values(), WIDE], ids=[*CASES, "wide"])
def test_logits_are_those_of_pytorch(options: dict[str, Any]) -> None:
    model = decoder(options | {"initial_std": 0.1})
    assert InferenceDecoder(model)._step is not None
    for found, expected in zip(logits_of(model, 20), logits_of(model, 20, kernel=False), strict=True):
        assert (found - expected).abs().max() < 2e-5


@pytest.mark.parametrize("case", WITHOUT_KERNEL)
def test_what_the_kernel_does_not_know_goes_without_it(case: str) -> None:
    assert InferenceDecoder(decoder(WITHOUT_KERNEL[case]))._step is None


@pytest.mark.parametrize("case", CASES)
def test_neither_threads_nor_company_change_a_bit(case: str, threads: None) -> None:
    model = decoder(CASES[case])
    torch.set_num_threads(1)
    expected = logits_of(model, 12)
    alone = logits_of(model, 12, rows=1)
    for found, whole in zip(alone[1:], expected[1:], strict=True):
        assert (found - whole[:1]).abs().max() < 1e-5
    for number in (2, 3, 5):
        torch.set_num_threads(number)
        for found, whole in zip(logits_of(model, 12), expected, strict=True):
            assert (found - whole).abs().max() < 1e-5
    torch.set_num_threads(1)


def test_a_step_is_the_same_to_the_bit_for_any_number_of_threads_and_rows(threads: None) -> None:
    model = decoder(CASES["qk_norm"])
    generator = torch.Generator().manual_seed(3)
    inference = InferenceDecoder(model)
    inference._prepare_positions(64)
    step, cos, sin = inference._step, inference.cos_PD, inference.sin_PD
    assert step is not None
    cache = torch.randn(3, 2, 9, 2, 40, 8, generator=generator)
    x = torch.randn(9, 32, generator=generator)
    positions = [0, 3, 39, 8, 8, 20, 1, 11, 30]

    def run(rows: slice, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        torch.set_num_threads(number)
        own_x, own_cache = x[rows].clone(), cache[:, :, rows].clone()
        step(own_x, positions[rows], cos, sin, own_cache)
        return own_x, own_cache

    expected_x, expected_cache = run(slice(0, 9), 1)
    for rows in (slice(0, 9), slice(2, 3), slice(1, 8)):
        for number in (1, 2, 4):
            found_x, found_cache = run(rows, number)
            assert torch.equal(found_x, expected_x[rows])
            assert torch.equal(found_cache, expected_cache[:, :, rows])


def test_threads_do_not_wait_for_one_that_was_interrupted(threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    engine = Engine(decoder())
    engine.submit([1, 2, 3], max_new=5)
    engine.step()
    whole = decode._step

    def interrupted(thread: int, *rest: Any) -> None:
        if thread == 0:
            raise KeyboardInterrupt
        whole(thread, *rest)

    monkeypatch.setattr(decode, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.step()
    assert engine.decoder._step is not None
    assert engine.decoder._step._pool is not None
    engine.decoder._step._pool[1].shutdown(wait=True)  # hangs where a thread still waits


def test_weights_that_bf16_holds_are_kept_so_and_change_nothing() -> None:
    model = decoder(CASES["llama"])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.copy_(parameter.bfloat16())
    halves = InferenceDecoder(model)
    assert halves.embedding.dtype == torch.bfloat16
    halved = logits_of(model, 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InferenceDecoder, "_kept_dtype", lambda self, model: torch.float32)
        assert all(torch.equal(a, b) for a, b in zip(halved, logits_of(model, 10), strict=True))


def test_a_model_of_other_widths_generates_without_the_kernel() -> None:
    model = decoder({"intermediate": 50})
    assert InferenceDecoder(model)._step is None
    assert logits_of(model, 3)


def test_the_exponential_is_exact_to_an_unit_in_the_last_place_or_two() -> None:
    x = np.concatenate([np.linspace(-87, 0, 200_001), [-1e-30, -1e-7, -100, -np.inf]]).astype(np.float32)

    @njit
    def all_of(x):  # type: ignore[no-untyped-def]
        return np.array([row_kernels.exp(value) for value in x], np.float32)

    found, expected = all_of(x).astype(np.float64), np.exp(np.maximum(x.astype(np.float64), -87))
    assert np.abs(found / expected - 1).max() < 2.5e-7
