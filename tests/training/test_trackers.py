"""Metrics that go to trackers: read back from TensorBoard's files; what fails there stops nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.phases import COMPUTE, MODEL, phase, train
from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.training import trackers


def scalars(folder: Path, name: str) -> dict[int, float]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(folder), purge_orphaned_data=True)
    read.Reload()
    return {event.step: event.value for event in read.Scalars(name)}


def with_trackers(*names: str) -> Any:
    return COMPUTE.model_copy(update={"trackers": list(names)})


def test_tensorboard_holds_what_the_journal_holds(tmp_path: Path) -> None:
    train(tmp_path / "a", compute=with_trackers("tensorboard"), tracking=tmp_path / "tracking")
    journal = list(read_journal(tmp_path / "a" / "metrics.jsonl"))
    folder = tmp_path / "tracking" / phase().name
    losses = scalars(folder, "loss")
    assert losses == {record["step"]: pytest.approx(record["loss"], rel=1e-6) for record in journal}
    by_group = scalars(folder, "loss_by_group/group_1")
    assert by_group == {record["step"]: pytest.approx(record["groups"]["group_1"], rel=1e-6) for record in journal}
    assert len(scalars(folder, "tokens_per_second")) == len(journal)


def test_steps_that_are_taken_again_stand_there_once(tmp_path: Path) -> None:
    """As behind a kill or a rewind: steps 3 to 5 are logged with other values a second time."""
    tracked = trackers.Trackers(["tensorboard"], tmp_path, "main", print)
    for step in range(1, 6):
        tracked.log(step, {"loss": 100.0})
    for step in range(3, 8):
        tracked.log(step, {"loss": float(step)})
    tracked.close()
    assert scalars(tmp_path / "main", "loss") == {1: 100, 2: 100, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7}


def test_a_tracker_that_fails_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, folder: Path, phase: str) -> None:
            pass

        def log(self, step: int, values: dict[str, float]) -> None:
            raise ConnectionError("no network")

    monkeypatch.setitem(trackers._MAKERS, "tensorboard", Broken)
    told: list[dict[str, Any]] = []
    options = {"compute": with_trackers("tensorboard"), "tracking": tmp_path / "tracking"}
    with_it = train(tmp_path / "a", on_event=told.append, **options)
    assert with_it.loss == train(tmp_path / "b").loss
    warnings = [record["message"] for record in told if record["event"] == "warning"]
    assert warnings == ["compute.trackers: tensorboard is left out from here on: ConnectionError: no network"]


def test_one_that_is_not_installed_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trackers.EXTRAS, "swanlab", "no_such_module")
    with pytest.raises(UserError, match=r"compute\.trackers: swanlab is not installed") as refused:
        train(tmp_path / "a", compute=with_trackers("swanlab"), tracking=tmp_path / "tracking")
    assert refused.value.hint == "pip install 'tilth[swanlab]'"
    assert not (tmp_path / "a" / "model.safetensors").exists()


def test_what_wandb_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its library is not needed here: a stand-in keeps the calls that WandB documents."""
    told: list[Any] = []
    run = SimpleNamespace(
        define_metric=lambda name, step_metric=None: told.append(("metric", name, step_metric)),
        log=lambda values: told.append(("log", values)),
        finish=lambda: told.append("finish"),
    )
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **options: told.append(options) or run))
    tracker = trackers.WandB(tmp_path / "runs" / "first" / "tracking", "stable")
    tracker.log(7, {"loss": 2.0})
    tracker.close()
    options, *rest = told
    assert (options["name"], options["id"], options["resume"]) == ("first-stable", "first-stable", "allow")
    assert rest == [("metric", "step", None), ("metric", "*", "step"), ("log", {"loss": 2.0, "step": 7}), "finish"]


def test_figures_are_flat_numbers() -> None:
    metrics = {"step": 3, "loss": 1.5, "groups": {"law": 2.0}, "metrics": {"margin": 0.1}, "gradient_norm": "inf"}
    found = trackers.figures(metrics, {"step": 3, "tokens_per_second": 10, "mfu": None})
    assert found == {"loss": 1.5, "loss_by_group/law": 2.0, "objective/margin": 0.1, "tokens_per_second": 10.0}


def test_mfu_is_operations_a_second_over_the_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilth.training.device.peak_flops", lambda device, products: 1e9)
    train(tmp_path / "a", phase(steps=2))
    for record in read_journal(tmp_path / "a" / "timings.jsonl"):
        # two layers of 16 x (2 x 16 + 2 x 8) and 3 x 16 x intermediate weights, a head of 16 x 64; attention of 32
        weights = 2 * (16 * 48 + 3 * 16 * MODEL.intermediate) + 16 * 64
        per_token = 6 * weights + 6 * 2 * 16 * 32
        assert record["mfu"] == pytest.approx(per_token * record["tokens_per_second"] / 1e9, rel=1e-2, abs=1e-4)
