from __future__ import annotations

import pytest

from tilth.laws.architectures import PUBLISHED
from tilth.laws.counting import Counting
from tilth.laws.flops import (
    hardware_flops_per_token,
    recomputed_flops_per_token,
    training_flops_per_token,
)
from tilth.laws.model_size import matmul_parameters, parameters


def test_llama_by_hand() -> None:
    shape = PUBLISHED["LLaMA-7B"]
    matrices = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    assert matmul_parameters(shape) == matrices
    assert training_flops_per_token(shape, 2048) == 6 * matrices + 6 * 32 * 4096 * 2048
    assert training_flops_per_token(shape, 2048, "full") == 6 * matrices + 12 * 32 * 4096 * 2048


@pytest.mark.parametrize("name", ["LLaMA-7B", "GPT-NeoX-20B"])
def test_what_recomputation_adds(name: str) -> None:
    """Full: one more forward pass of the layers, without the head's. Selective: attention's core where scores are
    stored; of a gated model with flash attention no matrix product."""
    shape = PUBLISHED[name]
    core = 2 * shape.layers * shape.hidden * 2048
    assert recomputed_flops_per_token(shape, 2048, "none") == 0
    assert recomputed_flops_per_token(shape, 2048, "selective") == (0 if shape.gated else core)
    full = recomputed_flops_per_token(shape, 2048, "full")
    assert full == 2 * (matmul_parameters(shape) - shape.vocabulary * shape.hidden) + core
    whole = training_flops_per_token(shape, 2048)
    assert hardware_flops_per_token(shape, 2048, "full") == whole + full
    assert 1.31 < (whole + full) / whole < 1.34


def test_a_narrow_embedding_is_projected_for_every_token() -> None:
    """OPT-350M by hand: pieces of 512 numbers, projected to 1,024 and back."""
    shape = PUBLISHED["opt-350m"]
    layers = 24 * (4 * 1024**2 + 2 * 1024 * 4096)
    assert matmul_parameters(shape, head=False) == layers
    assert matmul_parameters(shape) == layers + 50272 * 512 + 2 * 512 * 1024
    inner = parameters(shape, Counting.WITHOUT_EMBEDDINGS)
    assert parameters(shape, Counting.WITH_HEAD) == inner + 50272 * 512 + 2 * 512 * 1024
    assert parameters(shape) == parameters(shape, Counting.WITH_HEAD) + 2050 * 1024  # but for the positions: tied


def test_utilisation_of_yulan_mini() -> None:
    """7,174 tokens a second on an A800 (312 TFLOP/s): 43.0 % with full attention, 36.9 % with causal."""
    from tilth.laws.model_size import Shape

    shape = Shape(99000, 1920, 56, 30, 6, 64, 4800, tied=True)
    full = training_flops_per_token(shape, 4096, "full") * 7174 / 312e12
    causal = training_flops_per_token(shape, 4096) * 7174 / 312e12
    assert full == pytest.approx(0.430, abs=0.01)
    assert causal == pytest.approx(0.369, abs=0.01)
