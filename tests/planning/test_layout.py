from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.laws.architectures import PUBLISHED, shape_of
from tilth.laws.memory import STATE_BYTES
from tilth.laws.model_size import parameters
from tilth.planning.answers import layout_report
from tilth.planning.cluster import Cluster, checkpoint_interval
from tilth.planning.layout import (
    KINDS,
    Layout,
    Task,
    choose,
    device_memory,
    layouts,
    leanest,
    stage_parameters,
    step_time,
)

LLAMA = Task(PUBLISHED["Llama-3-8B"], 4096, 2**22, 1e11)


def gpt(hidden: int, layers: int, heads: int):
    return shape_of({"model_type": "gpt2", "vocab_size": 51200, "n_embd": hidden, "n_layer": layers, "n_head": heads,
                     "n_positions": 2048})  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "layout", "batch", "full", "selective"),
    [
        (gpt(6144, 48, 64), Layout(8, 1, 1, 0, 4), 4, 1.42, 1.10),
        (gpt(12288, 96, 96), Layout(8, 8, 1, 0, 1, interleaved=3), 64, 18.13, 13.75),
        (gpt(20480, 105, 128), Layout(8, 35, 1, 0, 1, interleaved=3), 280, 49.05, 37.83),
        (gpt(25600, 128, 160), Layout(8, 64, 1, 0, 1), 512, 94.42, 71.49),
    ],
)
def test_step_times_of_korthikanti(shape, layout: Layout, batch: int, full: float, selective: float) -> None:
    """Table 5: seconds an iteration on A100, with full recomputation and with selective and sequence parallelism."""
    task = Task(shape, 2048, 2048 * batch, 1, STATE_BYTES["fp32_gradients"])
    cluster = Cluster(devices=layout.devices, device="A100-80G")
    assert step_time(task, replace(layout, recompute="full"), cluster).total == pytest.approx(full, rel=0.05)
    lean = replace(layout, sequence_parallel=True, recompute="selective")
    assert step_time(task, lean, cluster).total == pytest.approx(selective, rel=0.05)


def test_zero_alone_while_it_fits_then_tensor_then_pipeline() -> None:
    small = choose(LLAMA, Cluster(devices=8, device="A100-80G"))
    assert small is not None
    assert small.chosen.layout.kind == KINDS[0]
    tight = choose(replace(LLAMA, shape=PUBLISHED["Llama-2-70b-hf"]), Cluster(devices=64, device="A100-80G"))
    assert tight is not None
    assert all(c.fits is (c.memory.total <= 80e9) for c in tight.all)
    assert tight.chosen.layout.kind == min((c.layout.kind for c in tight.all if c.fits), key=KINDS.index)


def test_an_impossible_cluster_gets_the_nearest_that_can_and_the_reason() -> None:
    task = replace(LLAMA, shape=PUBLISHED["LLaMA-65B"])
    cluster = Cluster(devices=8, device="A100-40G")
    assert choose(task, cluster) is None
    lean = leanest(task, cluster)
    assert lean is not None
    assert lean.memory.states.total == pytest.approx(16 * parameters(task.shape) / 8)  # 130 GB and more on 40
    report = layout_report("LLaMA-65B", task, cluster)
    assert "cannot hold it" in report.notes[0]
    assert "nearest cluster" in report.notes[1]
    assert report.value("memory of a device") <= 40e9


def test_pipeline_bubble_by_hand() -> None:
    """(p - 1) / m of the rest: 3 / 64 with four stages and 64 micro-batches, a quarter of it interleaved 4 times."""
    task = replace(LLAMA, batch_tokens=64 * 4096)
    cluster = Cluster(devices=4, device="A100-80G")
    time = step_time(task, Layout(pipeline=4), cluster)
    busy = time.products + time.elementwise + time.tensor + time.pipeline
    assert time.bubble == pytest.approx(busy * 3 / 64)
    time = step_time(task, Layout(pipeline=4, interleaved=4), cluster)
    busy = time.products + time.elementwise + time.tensor + time.pipeline
    assert time.bubble == pytest.approx(busy * 3 / 256)


def test_the_checkpoint_interval_is_near_youngs() -> None:
    """sqrt(2 x 60 x 86,400) = 3,220 s; Daly's correction takes the saving off again."""
    assert checkpoint_interval(60, 86400) == pytest.approx(3220 + 20 - 60, abs=2)
    assert checkpoint_interval(100, 40) == 40


@given(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4, 8, 16, 32]), st.sampled_from(sorted(PUBLISHED)))
def test_stages_add_up_to_the_whole(tensor: int, pipeline: int, name: str) -> None:
    shape = PUBLISHED[name]
    again = shape.vocabulary * shape.hidden if shape.tied and pipeline > 1 else 0
    held = tensor * sum(stage_parameters(shape, Layout(tensor, pipeline)))
    assert held == pytest.approx(parameters(shape) + again)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([20e9, 40e9, 80e9, 141e9]), st.sampled_from([4, 8, 16]))
def test_more_memory_is_never_worse(memory: float, devices: int) -> None:
    """A device that holds more: what fitted fits, and the fastest layout of all is no slower."""
    less = Cluster(devices=devices, device="A100-80G", memory=int(memory))
    more = less.model_copy(update={"memory": int(1.5 * memory)})
    before, after = choose(LLAMA, less), choose(LLAMA, more)
    if before is not None:
        assert after is not None
        assert after.fastest.time.total <= before.fastest.time.total
        assert KINDS.index(after.chosen.layout.kind) <= KINDS.index(before.chosen.layout.kind)


def test_each_means_of_saving_saves() -> None:
    base = Layout(tensor=4, data=4, micro_batch=2)
    whole = device_memory(LLAMA, base).total
    for change in ({"zero": 1}, {"sequence_parallel": True}, {"recompute": "selective"}, {"recompute": "full"}):
        assert device_memory(LLAMA, replace(base, **change)).total < whole, change


def test_every_layout_uses_all_devices() -> None:
    found = list(layouts(LLAMA, Cluster(devices=16, device="A100-80G")))
    assert {layout.devices for layout in found} == {16}
    assert len(found) == len(set(found)) > 100
