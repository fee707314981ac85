"""Predicted speed against what others published: the figures that the constants were fitted on, and those that not.

The table of docs/planning.md holds the second kind; both columns are checked here.
"""

from __future__ import annotations

import math

import pytest

from tests.test_docs import ROOT
from tilth.laws.architectures import PUBLISHED
from tilth.laws.flops import training_flops_per_token
from tilth.laws.model_size import Shape
from tilth.planning.cluster import Cluster
from tilth.planning.layout import Layout, Task
from tilth.planning.layout_choice import choose
from tilth.planning.step_time import step_time


def mpt(hidden: int, layers: int, heads: int) -> Shape:
    """As large as MosaicML's model of that width: two thirds of 4 H in each of three matrices, for 4 H in two."""
    return Shape(50368, hidden, layers, heads, heads, hidden // heads, 8 * hidden // 3)


MPT = {
    "125m": mpt(768, 12, 12),
    "350m": mpt(1024, 24, 16),
    "760m": mpt(1536, 24, 12),
    "1b": mpt(2048, 24, 16),
    "3b": mpt(2560, 32, 20),
    "7b": mpt(4096, 32, 32),
    "13b": mpt(5120, 40, 40),
    "30b": mpt(7168, 48, 56),
    "70b": mpt(8192, 80, 64),
}
FITTED = """
H100-80G 70b 2048 64 8 4 full 1039
H100-80G 70b 2048 32 2 16 full 882
H100-80G 30b 4096 8 1 21 full 1802
H100-80G 30b 2048 32 14 3 full 2308
H100-80G 30b 2048 16 10 3 full 2263
H100-80G 30b 2048 8 3 21 full 2002
H100-80G 13b 4096 8 10 3 full 4717
H100-80G 13b 2048 64 2 1 none 4800
H100-80G 13b 2048 8 2 1 none 4792
H100-80G 7b 8192 8 8 2 full 6935
H100-80G 7b 4096 8 16 2 full 8611
H100-80G 7b 2048 8 6 1 none 10643
H100-80G 3b 4096 8 5 6 none 20964
H100-80G 3b 2048 64 6 3 none 22525
H100-80G 3b 2048 16 10 3 none 24142
H100-80G 1b 4096 8 7 4 none 38535
H100-80G 1b 2048 64 20 1 none 44402
H100-80G 1b 2048 8 14 1 none 45455
H100-80G 760m 2048 32 24 1 none 67971
A100-80G 70b 2048 64 8 4 full 410
A100-80G 70b 2048 32 2 16 full 373
A100-80G 30b 4096 8 1 21 full 814
A100-80G 30b 2048 8 3 21 full 916
A100-80G 13b 8192 8 5 3 full 1795
A100-80G 13b 4096 8 10 3 full 2060
A100-80G 13b 2048 8 2 3 none 2262
A100-80G 7b 8192 8 8 2 full 3206
A100-80G 7b 4096 8 16 2 full 3684
A100-80G 7b 2048 8 6 2 none 4641
A100-80G 3b 8192 8 3 6 none 7695
A100-80G 3b 4096 8 5 6 none 9457
A100-80G 3b 2048 8 10 2 none 10811
A100-80G 1b 4096 8 7 4 none 17807
A100-80G 1b 2048 8 14 4 none 20513
A100-80G 350m 2048 8 32 2 none 58782
A100-80G 125m 2048 8 32 2 none 141737
"""
"""llm-foundry, scripts/train/benchmarking/README.md: device, model, length, devices, micro-batch, accumulation,
recomputation, tokens a second and device; weights, gradients and optimizer shared among all (FSDP)."""


def predicted(task: Task, layout: Layout, device: str) -> float:
    """Tokens a second and device."""
    seconds = step_time(task, layout, Cluster(devices=layout.devices, device=device)).total
    return task.sequences * task.length / seconds / layout.devices


def ratio_to_foundry(line: str) -> float:
    device, model, length, devices, micro, times, recompute, measured = line.split()
    count = int(devices) * int(micro) * int(times)
    task = Task(MPT[model], int(length), count * int(length), 1e9)
    layout = Layout(data=int(devices), zero=3, micro_batch=int(micro), recompute=recompute)  # type: ignore[arg-type]
    return float(measured) / predicted(task, layout, device)


@pytest.mark.parametrize("line", FITTED.strip().splitlines())
def test_throughputs_that_the_constants_were_fitted_on(line: str) -> None:
    assert ratio_to_foundry(line) == pytest.approx(1, abs=0.125)


SLOWER = {
    "A100-80G 30b 8192 8 1 21 full 574": 0.75,
    "H100-80G 30b 8192 8 1 21 full 1384": 0.78,
    "H100-80G 3b 8192 8 3 6 none 16578": 0.86,
}
"""The three of the 39 that were fitted on and are not met; sequences of 8,192."""


@pytest.mark.parametrize("line", SLOWER)
def test_the_documented_exceptions_have_long_sequences(line: str) -> None:
    assert ratio_to_foundry(line) == pytest.approx(SLOWER[line], abs=0.01)


def test_they_err_to_neither_side() -> None:
    every = [*FITTED.strip().splitlines(), *SLOWER]
    logs = [math.log(ratio_to_foundry(line)) for line in every]
    assert len(every) == 39
    assert sum(logs) / len(logs) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("hidden", "layers", "length", "measured"),
    [(2048, 24, 2048, 196e12), (2048, 24, 8192, 220e12), (2560, 32, 2048, 205e12), (2560, 32, 8192, 225e12)],
)
def test_flash_attention_2_on_eight_a100(hidden: int, layers: int, length: int, measured: float) -> None:
    """Dao 2023, table 1: model FLOP/s a device, the whole square of attention counted."""
    shape = mpt(hidden, layers, 16)
    task = Task(shape, length, 8 * 8 * 16384, 1e9)
    speed = predicted(task, Layout(data=8, zero=1, micro_batch=16384 // length), "A100-80G")
    assert speed * training_flops_per_token(shape, length, "full") == pytest.approx(measured, rel=0.09)


def hours(device_hours: float, tokens: float) -> float:
    """Tokens a second and device."""
    return tokens / device_hours / 3600


YULAN = Shape(99000, 1920, 56, 30, 6, 64, 4800, tied=True)
LONG_405B = training_flops_per_token(PUBLISHED["Llama-3.1-405B"], 8192)
OTHERS = {
    "LLaMA-7B": ("LLaMA-7B", 2048, 2**22, "A100-80G", 512, None, hours(82_432, 1e12), 1.37),
    "LLaMA-13B": ("LLaMA-13B", 2048, 2**22, "A100-80G", 512, None, hours(135_168, 1e12), 1.19),
    "LLaMA-65B": ("LLaMA-65B", 2048, 2**22, "A100-80G", 2048, None, 380.0, 1.15),
    "Llama-2-7B": ("Llama-2-7b-hf", 4096, 2**22, "A100-80G", 512, None, hours(184_320, 2e12), 1.44),
    "Llama-2-13B": ("Llama-2-13b-hf", 4096, 2**22, "A100-80G", 512, None, hours(368_640, 2e12), 1.54),
    "Llama-2-70B": ("Llama-2-70b-hf", 4096, 2**22, "A100-80G", 1024, None, hours(1_720_320, 2e12), 1.29),
    "Llama-3-405B": (
        "Llama-3.1-405B", 8192, 2**24, "H100-80G", 7168,
        Layout(8, 14, 64, 1, 1, True, "none", 3), 430e12 / LONG_405B, 0.86,
    ),
    "TinyLlama": (
        "TinyLlama-1.1B", 2048, 2**21, "A100-40G", 16, Layout(data=16, zero=3, micro_batch=8), 24_000.0, 0.98
    ),
    "torchtitan 8 B": (
        "Llama-3-8B", 8192, 8 * 2 * 8192, "H100-80G", 8,
        Layout(data=8, zero=3, micro_batch=2, recompute="selective"), 6667.0, 1.22,
    ),
    "YuLan-Mini": (YULAN, 4096, 2**22, "A800-80G", 64, Layout(data=64, zero=1, micro_batch=4), 7174.0, 1.43),
}  # fmt: skip
"""Model, length, tokens of a step, device, devices (where none are published: our choice, and the layout with them),
tokens a second and device; by how much longer it took than is predicted. Sources in docs/planning.md."""


@pytest.mark.parametrize("name", OTHERS)
def test_runs_that_nothing_was_fitted_on(name: str) -> None:
    """Full runs took up to half as long again as than the best benchmarks; the literal ratios are those of the page."""
    model, length, batch, device, devices, layout, published, longer = OTHERS[name]
    shape = PUBLISHED[model] if isinstance(model, str) else model
    task = Task(shape, length, batch, 1e12)
    if layout is None:
        found = choose(task, Cluster(devices=devices, device=device))
        assert found is not None
        layout = found.fastest.layout
    assert predicted(task, layout, device) / published == pytest.approx(longer, abs=0.01)


@pytest.mark.parametrize("page", ["planning.md", "planning.zh.md"])
def test_the_page_has_the_same_ratios(page: str) -> None:
    rows = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    for name, (*_, longer) in OTHERS.items():
        (row,) = [line for line in rows if line.startswith(f"| {name} ")]
        assert row.split("|")[-2].strip() == f"{longer:.2f}"
