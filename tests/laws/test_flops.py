from __future__ import annotations

import pytest

from tilth.laws.architectures import PUBLISHED
from tilth.laws.flops import (
    hardware_flops_per_token,
    recomputed_flops_per_token,
    training_flops_per_token,
    utilisation,
)
from tilth.laws.model_size import matmul_parameters


def test_llama_by_hand() -> None:
    shape = PUBLISHED["LLaMA-7B"]
    matrices = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    assert matmul_parameters(shape) == matrices
    assert training_flops_per_token(shape, 2048) == 6 * matrices + 6 * 32 * 4096 * 2048
    assert training_flops_per_token(shape, 2048, "full") == 6 * matrices + 12 * 32 * 4096 * 2048


def test_what_recomputation_adds() -> None:
    """One more forward pass of the layers, without the head's; selective: attention's core alone."""
    shape = PUBLISHED["LLaMA-7B"]
    core = 2 * 32 * 4096 * 2048
    assert recomputed_flops_per_token(shape, 2048, "none") == 0
    assert recomputed_flops_per_token(shape, 2048, "selective") == core
    full = recomputed_flops_per_token(shape, 2048, "full")
    assert full == 2 * (matmul_parameters(shape) - 32000 * 4096) + core
    whole = training_flops_per_token(shape, 2048)
    assert hardware_flops_per_token(shape, 2048, "full") == whole + full
    assert 1.31 < (whole + full) / whole < 1.34


def test_utilisation_of_yulan_mini() -> None:
    """7,174 tokens a second on an A800 (312 TFLOP/s): 43.0 % with full attention, 36.9 % with causal."""
    from tilth.laws.model_size import Shape

    shape = Shape(99000, 1920, 56, 30, 6, 64, 4800, tied=True)
    full = utilisation(training_flops_per_token(shape, 4096, "full"), 7174, 312e12)
    causal = utilisation(training_flops_per_token(shape, 4096), 7174, 312e12)
    assert full == pytest.approx(0.430, abs=0.01)
    assert causal == pytest.approx(0.369, abs=0.01)
