from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.laws.architectures import PUBLISHED, shape_of
from tilth.laws.flops import recomputed_flops_per_token
from tilth.laws.memory import STATE_BYTES, stage_layers
from tilth.laws.model_size import parameters
from tilth.planning.cluster import Cluster, checkpoint_interval
from tilth.planning.layout import KINDS, Layout, Task, layouts
from tilth.planning.layout_choice import choose, leanest, nearest_cluster
from tilth.planning.layout_memory import device_memory, layer_bytes, stage_memory, stage_parameters
from tilth.planning.layout_plan import layout_report
from tilth.planning.memory_plan import memory_report
from tilth.planning.step_time import ring_speed, step_time

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
    assert step_time(task, replace(layout, recompute="full"), cluster).total == pytest.approx(full, rel=0.08)
    lean = replace(layout, sequence_parallel=True, recompute="selective")
    assert step_time(task, lean, cluster).total == pytest.approx(selective, rel=0.06)


TIGHTER = [(14 * 10**9, "tensor parallel in a node"), (11 * 10**9, "pipeline across nodes")]
"""Bytes of each of 16 devices: Llama-3 8B fits by ZeRO alone from 16.01 GB on, with tensor parallelism from 11.68."""


def test_zero_alone_while_it_fits_then_tensor_then_pipeline() -> None:
    small = choose(LLAMA, Cluster(devices=8, device="A100-80G"))
    assert small is not None
    assert small.chosen.layout.kind == KINDS[0]
    for memory, kind in TIGHTER:
        tight = choose(LLAMA, Cluster(devices=16, device="A100-80G", memory=memory))
        assert tight is not None
        assert tight.chosen.layout.kind == kind
        lesser = [c for c in tight.all if KINDS.index(c.layout.kind) < KINDS.index(kind)]
        assert lesser
        assert min(c.memory.total for c in lesser) > memory >= tight.chosen.memory.total


def test_gradients_travel_every_micro_batch_from_zero_2_on() -> None:
    """Bytes by hand, of 8 ranks: without ZeRO 2 g a step; ZeRO-1 g + p; ZeRO-2 m g + p; ZeRO-3 m g + 2 m p."""
    task = replace(LLAMA, batch_tokens=8 * 16 * 4096)
    cluster = Cluster(devices=8, device="A100-80G")
    found = [step_time(task, Layout(data=8, zero=zero), cluster) for zero in range(4)]
    g, p = task.states.gradient, task.states.parameter
    by_hand = [2 * g, g + p, 16 * g + p, 16 * g + 32 * p]
    seconds = [7 / 8 * parameters(task.shape) * x / (0.5 * cluster.one.inside) for x in by_hand]
    hidden = [
        max(0.4 * s, s - (t.products + t.elementwise + t.tensor + t.pipeline))
        for s, t in zip(seconds, found, strict=True)
    ]
    assert [t.data for t in found] == pytest.approx(hidden)


def test_an_impossible_cluster_gets_the_nearest_that_can_and_the_reason() -> None:
    task = replace(LLAMA, shape=PUBLISHED["LLaMA-65B"])
    cluster = Cluster(devices=8, device="A100-40G")
    assert choose(task, cluster) is None
    lean = leanest(task, cluster)
    assert lean is not None
    assert lean.memory.states.total == pytest.approx(16 * parameters(task.shape) / 8)  # 130 GB and more on 40
    report = layout_report("LLaMA-65B", task, cluster)
    need = lean.memory.total / 1e9
    assert (
        report.title == f"LLaMA-65B does not fit on 8 x A100-40G (1 node): a device needs {need:.1f} GB, it has 40 GB"
    )
    assert need == pytest.approx(139.6, abs=0.05)
    said = re.search(r"as many devices of ([\d,]+) GB could", report.notes[0])
    assert said is not None
    memory = int(said[1].replace(",", "")) * 10**9
    assert choose(task, cluster.model_copy(update={"memory": memory})) is not None
    assert choose(task, cluster.model_copy(update={"memory": memory - 10**9})) is None
    assert report.value("memory of a device") <= 40e9


def test_what_is_of_another_cluster_says_so_everywhere() -> None:
    """Heading, tables and every figure, for people and for machines."""
    task = replace(LLAMA, shape=PUBLISHED["LLaMA-65B"])
    report = layout_report("LLaMA-65B", task, Cluster(devices=8, device="A100-40G"))
    label = "nearest cluster of such devices that can: 32 x A100-40G (4 nodes of 8)"
    assert report.heading == label
    assert report.as_text().splitlines()[2] == f"  {label}"
    told = report.as_json()
    assert (told["asked"], told["fits"]) == ("8 x A100-40G (1 node)", False)
    assert told["cluster"] == "32 x A100-40G (4 nodes of 8)"
    assert {figure["of"] for figure in told["figures"].values()} == {label}
    assert all(title.startswith(f"{label}; ") for title in told["tables"])
    held = layout_report("Llama-3-8B", LLAMA, Cluster(devices=8, device="A100-80G")).as_json()
    assert (held["asked"], held["fits"], held["cluster"]) == ("8 x A100-80G (1 node)", True, "8 x A100-80G (1 node)")
    assert not any("of" in figure for figure in held["figures"].values())


@pytest.mark.parametrize(("name", "devices", "memory"), [("LLaMA-65B", 8, 40e9), ("LLaMA-13B", 1, 80e9)])
def test_the_nearest_cluster_is_the_nearest(name: str, devices: int, memory: float) -> None:
    """Every number of devices, one after the other: the first that holds the model."""
    task = replace(LLAMA, shape=PUBLISHED[name])
    cluster = Cluster(devices=devices, device="A100-80G", memory=int(memory))

    def holds(count: int) -> bool:
        if count > cluster.per_node and count % cluster.per_node:
            return False
        return choose(task, cluster.model_copy(update={"devices": count})) is not None

    assert not holds(devices)
    away = next(n for n in range(1, 200) if holds(devices + n) or (devices > n and holds(devices - n)))
    found = nearest_cluster(task, cluster)
    assert found is not None
    assert abs(found[0].devices - devices) == away
    assert found[1].chosen.fits


def test_devices_that_nothing_divides_get_the_nearest_number_that_does() -> None:
    """32 layers, 32 heads and 1,024 sequences over 13 devices: 1,027 = 79 x 13 sequences would do."""
    report = layout_report("Llama-3-8B", LLAMA, Cluster(devices=13, device="H100-80G"))
    assert report.title == (
        "Llama-3-8B cannot be divided over 13 x H100-80G (2 nodes of 8): no layout shares 32 layers, 32 heads and a "
        "step's 1,024 sequences among 13 devices"
    )
    assert report.notes[0] == "with --batch 4206592 (1,027 sequences) it fits on 13 x H100-80G (2 nodes of 8)"
    assert "16 x H100-80G" in report.heading
    even = layout_report("Llama-3-8B", replace(LLAMA, batch_tokens=4206592), Cluster(devices=13, device="H100-80G"))
    assert even.facts["fits"]


def test_what_no_number_of_devices_holds_is_said() -> None:
    report = layout_report("Llama-3-8B", LLAMA, Cluster(devices=8, device="A100-80G", memory=10**9))
    assert "no number of such devices can" in report.notes[0]
    assert "does not fit" in report.title
    assert (report.facts["fits"], report.facts["cluster"]) == (False, None)


def test_a_batch_that_is_no_whole_number_of_sequences_is_told() -> None:
    """5,000,000 / 4,096 = 1,220.7: 1,220 sequences, 4,997,120 tokens; they are no multiple of 8, 1,224 are."""
    task = replace(LLAMA, batch_tokens=5_000_000)
    report = layout_report("Llama-3-8B", task, Cluster(devices=8, device="H100-80G"))
    assert report.notes[0] == (
        "a step takes 1,220 whole sequences of 4,096: 4,997,120 tokens of the 5,000,000 asked by --batch"
    )
    assert report.notes[1] == (
        "1,220 sequences do not divide evenly among 8 devices, which rules out data parallelism over all: "
        "--batch 4980736 (1,216 sequences) would"
    )
    even = layout_report("Llama-3-8B", LLAMA, Cluster(devices=8, device="H100-80G"))
    assert not any("sequences" in note for note in even.notes)


def test_rings_run_beside_each_other_across_nodes() -> None:
    """A100: 8 ranks of a group in a node, 8 x 25 GB/s, less than the node's 300; beside TP 8 one rank, 25 GB/s."""
    cluster = Cluster(devices=64, device="A100-80G")
    assert ring_speed(Layout(data=64), cluster) == 200e9
    assert ring_speed(Layout(tensor=2, data=32), cluster) == 100e9
    assert ring_speed(Layout(tensor=8, data=8), cluster) == 25e9
    assert ring_speed(Layout(tensor=2, pipeline=2, data=16), cluster) == 50e9
    assert ring_speed(Layout(tensor=2, pipeline=8, data=4), cluster) == 100e9
    assert ring_speed(Layout(data=8), Cluster(devices=8, device="A100-80G")) == 300e9


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


@settings(deadline=None)
@given(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4, 8, 16, 32]), st.sampled_from(sorted(PUBLISHED)))
def test_stages_add_up_to_the_whole(tensor: int, pipeline: int, name: str) -> None:
    shape = PUBLISHED[name]
    again = shape.vocabulary * (shape.embedding_width or shape.hidden) if shape.tied and pipeline > 1 else 0
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


def under_way(stage: int, pipeline: int, count: int) -> int:
    """Micro-batches that wait on a stage when most do, from 1F1B's schedule played through (Narayanan et al. 2021)."""
    warm = min(pipeline - stage - 1, count)
    steps = ["forward"] * warm + ["forward", "backward"] * (count - warm) + ["backward"] * warm
    waiting = most = 0
    for step in steps:
        waiting += 1 if step == "forward" else -1
        most = max(most, waiting)
    assert waiting == 0
    return most


@settings(deadline=None)
@given(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 20), st.data())
def test_a_stage_holds_what_the_schedule_has_under_way(pipeline: int, count: int, data: st.DataObject) -> None:
    stage = data.draw(st.integers(0, pipeline - 1))
    held = stage_layers(32, pipeline, stage=stage, micro_batches=count)
    assert held == pytest.approx(under_way(stage, pipeline, count) * 32 / pipeline)


@settings(deadline=None)
@given(st.sampled_from([2, 4, 8, 16]), st.sampled_from([1, 2]), st.sampled_from(["Llama-3-8B", "gpt2-xl", "bloom-7b1"]))
def test_the_fullest_device_is_one_stages_and_no_mixture_of_them(pipeline: int, tensor: int, name: str) -> None:
    task = replace(LLAMA, shape=PUBLISHED[name])
    layout = Layout(tensor=tensor, pipeline=pipeline, data=2)
    every = [stage_memory(task, layout, stage) for stage in range(pipeline)]
    assert device_memory(task, layout).total == max(one.total for one in every)
    assert all(one.logits == 0 for one in every[:-1])
    parts = max(one.states.total for one in every) + max(one.activations for one in every) + every[-1].logits
    assert device_memory(task, layout).total < 1.05 * (parts + every[0].buffers)


@pytest.mark.parametrize("split", [False, True])
def test_what_stands_around_the_layers_by_hand(split: bool) -> None:
    """Korthikanti et al. 2022, section 4.3, of the 22 B model (s 2048, b 4, h 6144, t 8): the embedding's dropout mask
    sbh p / t, the last norm's and the head's input 2sbh / t each; without sequence parallelism nothing of it is split.
    """
    task = replace(LLAMA, shape=gpt(6144, 48, 64), length=2048, batch_tokens=2048 * 64)
    sbh, t = 2048 * 4 * 6144, 8 if split else 1
    one = Layout(tensor=8, micro_batch=4, sequence_parallel=split)
    layers = 48 * layer_bytes(task, one)
    assert stage_memory(task, one, 0).activations - layers == pytest.approx(5 * sbh / t)
    piped = replace(one, pipeline=4)
    first, last = (stage_memory(task, piped, stage).activations for stage in (0, 3))
    assert first - layers == pytest.approx(4 * sbh / t)  # four micro-batches wait, of the logits' side nothing
    assert last - layers / 4 == pytest.approx(4 * sbh / t)
    llama = replace(task, shape=PUBLISHED["LLaMA-7B"])  # no dropout: the embedding's output is the first layer's input
    held = stage_memory(llama, one, 0).activations - 32 * layer_bytes(llama, one)
    assert held == pytest.approx(4 * 2048 * 4 * 4096 / t)


def test_the_formula_follows_the_feed_forward_not_the_norm() -> None:
    """OLMo's norm has no weights, but its layers are gated and its scores are not stored: it holds what Llama does."""
    llama = replace(LLAMA, shape=PUBLISHED["Llama-3-8B"])
    olmo = replace(llama, shape=replace(llama.shape, norm="plain"))
    assert layer_bytes(olmo, Layout()) == layer_bytes(llama, Layout())
    neox = replace(llama, shape=PUBLISHED["GPT-NeoX-20B"])
    s, h, a = 4096, 6144, 64
    assert layer_bytes(neox, Layout()) == pytest.approx(s * h * (34 + 5 * a * s / h))


@pytest.mark.parametrize("name", ["Llama-3.2-3B", "gpt2-xl"])
def test_plan_memory_and_plan_layout_say_the_same(name: str) -> None:
    """One sum for both: the table's last columns are what a layout of ZeRO alone needs."""
    shape = PUBLISHED[name]
    report = memory_report(name, shape, STATE_BYTES["mixed"], micro_batch=2, length=2048, ranks=8)
    task = Task(shape, 2048, 2048 * 64, 1e9)
    for stage, row in enumerate(report.tables[0].rows):
        for how, shown in zip(("none", "selective", "full"), row[-3:], strict=True):
            held = device_memory(task, Layout(data=8, zero=stage, micro_batch=2, recompute=how))  # type: ignore[arg-type]
            assert shown == f"{held.total / 1e9:,.2f}"


@pytest.mark.parametrize("name", ["Llama-3-8B", "gpt2-xl"])
def test_selective_costs_what_it_saves(name: str) -> None:
    """What is dropped is computed again: attention's stored core at its operations, or a pass over a product."""
    task = replace(LLAMA, shape=PUBLISHED[name])
    shape, cluster = task.shape, Cluster(devices=1, device="A100-80G")
    lean = Layout(recompute="selective")
    saved = layer_bytes(task, Layout()) - layer_bytes(task, lean)
    again = recomputed_flops_per_token(shape, task.length, "selective")
    slower = step_time(task, lean, cluster).total - step_time(task, Layout(), cluster).total
    assert slower > 0
    if shape.gated:
        assert saved == pytest.approx(2 * task.length * shape.intermediate)
        assert again == 0
        count = task.sequences * shape.layers
        assert slower == pytest.approx(count * 3 * saved / cluster.one.bandwidth)
    else:
        assert saved == pytest.approx(5 * shape.heads * task.length**2)
        assert again == 2 * shape.layers * shape.query_width * task.length
