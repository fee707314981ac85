"""ZeRO stages 1, 2, 3 on 2 and 4 gloo ranks are one process, in fp64: gradients, losses, weights, states, resuming."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.phases import COMPUTE, MODEL, phase, train
from tests.training.test_ranks import free_port
from tilth.base.events import read_journal
from tilth.laws.memory import Shard
from tilth.laws.partition import owners
from tilth.model import DecoderConfig, build
from tilth.model.adapters import AdapterSettings, attach
from tilth.planning.trainer_memory import Training, trainer_memory
from tilth.training import Interrupted, OptimizerSettings, parallel
from tilth.training.computing import Computing
from tilth.training.optimizers import Optimizers
from tilth.training.partition import Partition

TOLERANCE = 1e-12
SHARDS = get_args(Shard)
SIZES = (1, 2, 4)
KINDS: dict[str, tuple[dict[str, Any], DecoderConfig]] = {
    "muon": ({"kind": "muon", "learning_rate": 1e-3, "muon_learning_rate": 1e-3}, MODEL),
    "adamw": (
        {"kind": "adamw", "learning_rate": 1e-3},
        MODEL.model_copy(update={"tie_embeddings": False, "qk_norm": False, "qkv_bias": True}),
    ),
}
"""The optimizer, and a model with tied embeddings or with a head of its own."""
SAVED_AT = 3


def stages(size: int) -> tuple[str, ...]:
    return SHARDS if size > 1 else ("none",)


def kind_of(before: str, after: str) -> str:
    """The optimizer under which a pair of stages is tried."""
    return list(KINDS)[(SHARDS.index(before) + SHARDS.index(after)) % 2]


RESUMED = [(a, x, b, y) for a in SIZES for b in SIZES if a != b for x in stages(a) for y in stages(b)]
"""Saved by `a` processes under stage `x`, gone on from by `b` under `y`: every pair of numbers and of stages."""


def run(
    folder: Path, kind: str, shard: str, world: parallel.World, recompute: str = "none", more: Any = None, **job: Any
) -> None:
    """Five steps with two micro-batches on each of four ranks, eight on one; packed documents as everywhere."""
    optimizer, model = KINDS[kind]
    options = {"gradient_clip": 0.5, "guard": {"sigmas": None}, "micro_batch": 1} | (more or {})
    compute = COMPUTE.model_copy(update={"shard": shard, "checkpoint_steps": 100, "recompute": recompute})
    train(folder, phase(5, optimizer=optimizer, **options), compute=compute, world=world, **{"start": model, **job})


def recorded(folder: Path, kind: str, shard: str, world: parallel.World) -> None:
    """Train and keep every gradient of every step, as its owner has it, in `gradients-RANK.safetensors`."""
    kept: dict[str, torch.Tensor] = {}
    compute = Computing.run

    def keep(self: Computing, seed: int, step: int, *rest: Any, **more: Any) -> Any:
        found = compute(self, seed, step, *rest, **more)
        for name, parameter in self.model.named_parameters():
            if self.partition.mine(parameter):
                assert parameter.grad is not None
                kept[f"{step}:{name}"] = parameter.grad.clone()
            elif shard in ("gradients", "parameters"):
                assert parameter.grad is None
            if not self.partition.holds(parameter):
                assert not parameter.untyped_storage().size()
        return found

    Computing.run = keep  # type: ignore[method-assign]
    try:
        run(folder, kind, shard, world)
    finally:
        Computing.run = compute  # type: ignore[method-assign]
    save_file(kept, folder / f"gradients-{world.rank}.safetensors")


def saved(folder: Path, kind: str, shard: str, world: parallel.World) -> None:
    """Stop with a checkpoint, asked by a control file."""
    if world.first:
        folder.mkdir()
        (folder / "control.yaml").write_text(f"stop_at: {SAVED_AT}\n")
    world.barrier()
    with pytest.raises(Interrupted):
        run(folder, kind, shard, world)


def everything(root: Path, world: parallel.World) -> None:
    """All that this number of processes does: train under every stage, save, go on from what other numbers saved."""
    size = world.size
    for kind in KINDS:
        for shard in stages(size):
            recorded(root / f"{kind}-{shard}-{size}", kind, shard, world)
            saved(root / f"saved-{kind}-{shard}-{size}", kind, shard, world)
    if world.first:
        (root / f"done-{size}").touch()
    if size < 4:
        beside(root, world)
    for before, x, after, y in RESUMED:
        if after == size:
            wait_for(root / f"done-{before}")
            kind = kind_of(x, y)
            folder = root / f"{before}-{x}-{after}-{y}"
            if world.first:
                shutil.copytree(root / f"saved-{kind}-{x}-{before}", folder)
            world.barrier()
            run(folder, kind, y, world)


HALF = {"precision": "bf16", "micro_batch": 4}
ADAPTED = {"adapter": AdapterSettings(rank=4), "fresh": True}


def beside(root: Path, world: parallel.World) -> None:
    """With what parameters that come and go must agree: recomputation, half precision, frozen weights, an adapter."""
    wait_for(root / "done-1")
    base = root / "adamw-none-1"
    if world.size == 1:
        run(root / "adapter-none", "adamw", "none", world, start=base, **ADAPTED)
        return
    for recompute in ("selective", "full"):
        run(root / f"{recompute}-parameters", "muon", "parameters", world, recompute)
    for shard in ("none", "parameters"):
        run(root / f"half-{shard}", "adamw", shard, world, more=HALF)
    run(root / "adapter-parameters", "adamw", "parameters", world, start=base, **ADAPTED)


def wait_for(mark: Path) -> None:
    until = time.monotonic() + 300
    while not mark.exists():
        assert time.monotonic() < until, mark
        time.sleep(0.02)


def member(rank: int, size: int, port: str, root: str) -> None:
    """One process of the pool of `size`."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=port
    )
    everything(Path(root), parallel.join("cpu"))
    parallel.leave()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every cell, run: by this process, by a pool of 2, by a pool of 4, at the same time."""
    root = tmp_path_factory.mktemp("cells")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.test_partition", "torch.distributed.checkpoint"])
    members = []
    for size in SIZES[1:]:
        port = free_port()
        members += [context.Process(target=member, args=(rank, size, port, str(root))) for rank in range(size)]
    for process in members:
        process.start()
    try:
        everything(root, parallel.World())
        for process in members:
            process.join(300)
        assert [process.exitcode for process in members] == [0] * len(members)
    finally:
        for process in members:
            process.kill()
    return root


def far(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """The largest difference, tensor by tensor, relative to the tensor's largest element."""
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max() / b[name].abs().max().clamp_min(1e-300)) for name in b)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("shard", SHARDS)
def test_every_gradient_loss_and_weight_is_that_of_one_process(root: Path, kind: str, size: int, shard: str) -> None:
    one, many = root / f"{kind}-none-1", root / f"{kind}-{shard}-{size}"
    parts = [load_file(path) for path in sorted(many.glob("gradients-*"))]
    gradients: dict[str, torch.Tensor] = {}
    for part in parts:
        gradients |= part
    assert sum(map(len, parts)) == len(gradients) * (size if shard == "none" else 1)
    assert far(gradients, load_file(one / "gradients-0.safetensors")) <= TOLERANCE
    assert_equal(many, one)


@pytest.mark.parametrize(("before", "x", "after", "y"), RESUMED)
def test_saved_by_some_ranks_and_resumed_by_others(root: Path, before: int, x: str, after: int, y: str) -> None:
    assert_equal(root / f"{before}-{x}-{after}-{y}", root / f"{kind_of(x, y)}-none-1")


@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_a_layer_that_is_computed_again_has_its_parameters(root: Path, recompute: str) -> None:
    assert_equal(root / f"{recompute}-parameters", root / "muon-none-1")


def test_an_adapter_over_weights_that_come_and_go(root: Path) -> None:
    assert_equal(root / "adapter-parameters", root / "adapter-none")
    x, y = (load_file(root / f"adapter-{shard}/adapter/adapter_model.safetensors") for shard in ("none", "parameters"))
    assert far(y, x) <= TOLERANCE


def test_half_precision_goes_the_same_way(root: Path) -> None:
    whole, shared = (list(read_journal(root / f"half-{shard}/metrics.jsonl")) for shard in ("none", "parameters"))
    assert [record["loss"] for record in shared] == pytest.approx([record["loss"] for record in whole], rel=1e-3)
    assert shared[0]["gradient_norm"] == pytest.approx(whole[0]["gradient_norm"], rel=1e-3)


def assert_equal(many: Path, one: Path) -> None:
    for file in ("model.safetensors", "optimizer.safetensors"):
        assert far(load_file(many / file), load_file(one / file)) <= TOLERANCE, file
    pairs = list(zip(*(list(read_journal(folder / "metrics.jsonl")) for folder in (one, many)), strict=True))
    assert len(pairs) == 5
    for a, b in pairs:
        assert b["loss"] == pytest.approx(a["loss"], rel=TOLERANCE)
        assert b["groups"] == pytest.approx(a["groups"], rel=TOLERANCE)
        assert b["gradient_norm"] == pytest.approx(a["gradient_norm"], rel=TOLERANCE)
    orders = [json.loads((folder / "state.json").read_text())["order"] for folder in (one, many)]
    assert orders[0] == orders[1]


def test_the_forecast_knows_the_share(tmp_path: Path) -> None:
    """Of the process that has most: within the norms' few numbers of what the optimizers of every rank hold."""
    config = MODEL.model_copy(update={"vocabulary": 640})
    for kind in ("muon", "adamw"):
        settings = OptimizerSettings.model_validate({"kind": kind})
        held = []
        for rank in range(4):
            model = build(config, None)
            partition = Partition(model.parameters(), parallel.World(rank, 4), "optimizer")
            state = Optimizers(model, settings, torch.float32, partition).state()
            held.append(sum(tensor.numel() * 4 for name, tensor in state.items() if not name.endswith(":step")))
        training = Training(tokens=32, length=32, optimizer=kind, processes=4, shard="optimizer")
        assert trainer_memory(config.shape, training).optimizer == pytest.approx(max(held), rel=0.03)
        whole = Training(tokens=32, length=32, optimizer=kind, processes=4)
        assert trainer_memory(config.shape, whole).optimizer == sum(held)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_forecast_knows_who_has_most_gradients_and_parameters(frozen: bool) -> None:
    config = MODEL.model_copy(update={"vocabulary": 640, "tie_embeddings": False})
    model = build(config, None)
    if frozen:
        attach(model, AdapterSettings(rank=4), 0)
    held: list[tuple[int, int]] = []
    for rank in range(3):
        partition = Partition(model.parameters(), parallel.World(rank, 3), "parameters")
        own = [p for p in model.parameters() if partition.holds(p)]
        held.append((sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad)))
    shares = [
        trainer_memory(
            config.shape,
            Training(tokens=32, length=32, optimizer="adamw", processes=3, shard=shard, rank=4 if frozen else 0),
        )
        for shard in ("gradients", "parameters")
    ]
    assert shares[0].parameters == 4 * sum(p.numel() for p in model.parameters())
    assert shares[0].gradients == pytest.approx(4 * max(g for _, g in held), rel=0.05)
    assert shares[1].parameters == pytest.approx(4 * max(p for p, _ in held), rel=0.05)


def test_a_process_alone_shares_nothing() -> None:
    model = build(MODEL, None)
    partition = Partition(model.parameters(), parallel.World(), "parameters")
    assert all(partition.mine(parameter) and partition.holds(parameter) for parameter in model.parameters())


def test_owners_share_evenly_and_always_alike() -> None:
    assert owners([5, 3, 3, 2, 2, 1], 2) == [0, 1, 1, 0, 1, 0]
    assert owners([4], 3) == [0]
    assert set(owners([1] * 8, 4)) == {0, 1, 2, 3}


def test_one_process_that_is_to_share_is_warned(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    compute = COMPUTE.model_copy(update={"shard": "optimizer"})
    train(tmp_path, phase(1), compute=compute, on_event=events.append)
    (warning,) = (event["message"] for event in events if event["event"] == "warning")
    assert warning == "compute.shard: optimizer does nothing here: there is one process to share with"
