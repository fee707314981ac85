from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.laws.architectures import PUBLISHED
from tilth.laws.model_size import Shape, parameters
from tilth.planning import trainer_memory as forecasts
from tilth.planning.trainer_memory import Training, trainer_memory

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "peak_memory.py"


def benchmark() -> Any:
    import sys

    spec = importlib.util.spec_from_file_location("peak_memory", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["peak_memory"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", ["bf16", "muon fp32, small batch", "adapter", "dropout of an adapter, recomputed", "preferences", "8 bits"]
)
def test_the_forecast_meets_a_trace_of_the_trainer(name: str) -> None:
    """Within 1 %; benchmarks/peak_memory.py compares all settings."""
    pytest.importorskip("torch")
    module = benchmark()
    (case,) = (case for case in module.CASES if case.name == name)
    measured = module.apart(case, "traced")["peak"]
    assert module.forecast(case).tensors == pytest.approx(measured, rel=0.01)


def test_the_constants_are_those_of_the_code() -> None:
    pytest.importorskip("torch")
    from tilth.model import attention, loss
    from tilth.training import batch, muon

    assert (loss.CACHE_BYTES, loss.FUSED_BYTES, loss.DEVICE_BYTES) == (
        forecasts.CACHE_BYTES, forecasts.FUSED_BYTES, forecasts.DEVICE_BYTES,
    )  # fmt: skip
    assert muon.STACK_ELEMENTS == forecasts.STACK_ELEMENTS
    assert batch.SEGMENT_SLOTS == forecasts.SEGMENT_SLOTS
    assert (attention.WHOLE_UP_TO, attention.QUERY_BLOCK) == (forecasts.WHOLE_UP_TO, forecasts.QUERY_BLOCK)


@settings(deadline=None)
@given(*[st.integers(1, 64)] * 2, *[st.booleans()] * 3, st.sampled_from(["adamw", "muon"]))
def test_more_tokens_never_need_less(
    one: int, more: int, half: bool, eight: bool, compiled: bool, optimizer: Any
) -> None:
    shape = Shape(1000, 64, 2, 2, 1, 32, 128)
    few, many = (
        trainer_memory(
            shape,
            Training(
                tokens=64 * count, length=64, half=half, float8=half and eight, optimizer=optimizer, compiled=compiled
            ),
        )
        for count in (one, one + more)
    )
    assert many.tensors >= few.tensors
    states = few.parameters + few.gradients
    assert states == 8 * parameters(shape)


def test_an_adapter_saves_gradients_and_states() -> None:
    shape = PUBLISHED["Qwen3-0.6B"]
    whole, thin = (
        trainer_memory(shape, Training(tokens=2048, length=512, optimizer="adamw", rank=rank)) for rank in (0, 16)
    )
    assert whole.gradients == 4 * parameters(shape)
    assert thin.gradients < 0.02 * whole.gradients
    assert thin.total < 0.6 * whole.total
