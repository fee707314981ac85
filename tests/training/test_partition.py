"""ZeRO stage 1 on 2 and 4 gloo ranks is one process, in fp64: every gradient, losses, weights, optimizer, resuming."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from safetensors.torch import load_file, save_file

from tests.training.phases import COMPUTE, MODEL, phase, train
from tests.training.test_ranks import free_port
from tests.training.test_resume import Stop, stop_at
from tilth.base.events import read_journal
from tilth.laws.partition import owners
from tilth.model import build
from tilth.planning.trainer_memory import Training, trainer_memory
from tilth.training import ComputeSettings, Interrupted, OptimizerSettings, PhaseSettings, parallel
from tilth.training.computing import Computing
from tilth.training.optimizers import Optimizers
from tilth.training.partition import Partition

TOLERANCE = 1e-12
KINDS: dict[str, dict[str, Any]] = {
    "muon": {"kind": "muon", "learning_rate": 1e-3, "muon_learning_rate": 1e-3},
    "adamw": {"kind": "adamw", "learning_rate": 1e-3},
}
SHARDED = COMPUTE.model_copy(update={"shard": "optimizer", "checkpoint_steps": 2})
WHOLE = COMPUTE.model_copy(update={"checkpoint_steps": 2})


def settings(kind: str) -> PhaseSettings:
    return phase(5, optimizer=KINDS[kind], gradient_clip=0.5, guard={"sigmas": None})


def stop(folder: Path, kind: str, compute: ComputeSettings) -> None:
    """Train to the checkpoint of step 2."""
    events = stop_at(2) if not int(os.environ.get("RANK", 0)) else None
    try:
        train(folder, settings(kind), compute=compute, on_event=events)
    except Stop:
        return
    raise AssertionError("it did not stop")


def recorded(folder: Path, kind: str, compute: ComputeSettings, world: parallel.World) -> None:
    """Train and keep every gradient of every step, as its owner has it, in `gradients-RANK.safetensors`."""
    kept: dict[str, torch.Tensor] = {}
    run = Computing.run

    def keep(self: Computing, seed: int, step: int, *rest: Any, **more: Any) -> Any:
        found = run(self, seed, step, *rest, **more)
        for name, parameter in self.model.named_parameters():
            if self.partition.mine(parameter):
                assert parameter.grad is not None
                kept[f"{step}:{name}"] = parameter.grad.clone()
        return found

    Computing.run = keep  # type: ignore[method-assign]
    try:
        train(folder, settings(kind), compute=compute, world=world)
    finally:
        Computing.run = run  # type: ignore[method-assign]
    save_file(kept, folder / f"gradients-{world.rank}.safetensors")


def cells(rank: int, size: int, port: str, root: str) -> None:
    """All that one pool of `size` ranks does."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=port
    )
    world = parallel.join("cpu")
    for kind in KINDS:
        for name, compute in (("sharded", SHARDED), ("whole", WHOLE)):
            recorded(Path(root) / f"{kind}-{name}-{size}", kind, compute, world)
        for saver in sorted(Path(root).glob(f"saved-{kind}-*")):  # saved by another number of ranks
            if saver.name.endswith(f"-for-{size}"):
                train(saver, settings(kind), compute=SHARDED, world=world)
    parallel.leave()


def saving(rank: int, size: int, port: str, root: str) -> None:
    """Interrupt at step 2 by a control file: for every later number of ranks a folder."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=port
    )
    world = parallel.join("cpu")
    for kind in KINDS:
        for other in (1, 2, 4):
            if other == size:
                continue
            folder = Path(root) / f"saved-{kind}-{size}-for-{other}"
            if world.first:
                folder.mkdir()
                (folder / "control.yaml").write_text("stop_at: 2\n")
            world.barrier()
            with pytest.raises(Interrupted):
                train(folder, settings(kind), compute=SHARDED, world=world)
    parallel.leave()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every cell, run: one process, then pools of 1, 2 and 4 that save, then pools of 2 and 4 that train and resume."""
    root = tmp_path_factory.mktemp("cells")
    for kind in KINDS:
        recorded(root / f"{kind}-one", kind, WHOLE, parallel.World())
    saving_alone(root)
    for entry in (saving, cells):
        for size in (2, 4):
            torch.multiprocessing.spawn(entry, (size, free_port(), str(root)), nprocs=size)
    for kind in KINDS:
        for size in (2, 4):
            train(root / f"saved-{kind}-{size}-for-1", settings(kind), compute=SHARDED)
    return root


def saving_alone(root: Path) -> None:
    for kind in KINDS:
        for other in (2, 4):
            stop(root / f"saved-{kind}-1-for-{other}", kind, WHOLE)


def far(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """The largest difference, tensor by tensor, relative to the tensor's largest element."""
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max() / b[name].abs().max().clamp_min(1e-300)) for name in b)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", ["sharded", "whole"])
def test_every_gradient_loss_and_weight_is_that_of_one_process(root: Path, kind: str, size: int, name: str) -> None:
    one, many = root / f"{kind}-one", root / f"{kind}-{name}-{size}"
    parts = [load_file(path) for path in sorted(many.glob("gradients-*"))]
    gradients: dict[str, torch.Tensor] = {}
    for part in parts:
        gradients |= part
    assert sum(map(len, parts)) == len(gradients) * (1 if name == "sharded" else size)
    assert far(gradients, load_file(one / "gradients-0.safetensors")) <= TOLERANCE
    assert_equal(many, one)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 4), (2, 1), (2, 4), (4, 1), (4, 2)])
def test_saved_by_some_ranks_and_resumed_by_others(root: Path, kind: str, before: int, after: int) -> None:
    assert_equal(root / f"saved-{kind}-{before}-for-{after}", root / f"{kind}-one")


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
            partition = Partition(model.parameters(), parallel.World(rank, 4), sharded=True)
            state = Optimizers(model, settings, torch.float32, partition).state()
            held.append(sum(tensor.numel() * 4 for name, tensor in state.items() if not name.endswith(":step")))
        training = Training(tokens=32, length=32, optimizer=kind, processes=4, shard="optimizer")
        assert trainer_memory(config.shape, training).optimizer == pytest.approx(max(held), rel=0.03)
        whole = Training(tokens=32, length=32, optimizer=kind, processes=4)
        assert trainer_memory(config.shape, whole).optimizer == sum(held)


def test_the_stages_that_are_not_there_are_refused_in_a_sentence() -> None:
    for name in ("gradients", "parameters"):
        with pytest.raises(ValueError, match=rf"ZeRO stage . \({name}\) is not there: set shard: optimizer"):
            ComputeSettings.model_validate({"shard": name})


def test_owners_share_evenly_and_always_alike() -> None:
    assert owners([5, 3, 3, 2, 2, 1], 2) == [0, 1, 1, 0, 1, 0]
    assert owners([4], 3) == [0]
    assert set(owners([1] * 8, 4)) == {0, 1, 2, 3}
