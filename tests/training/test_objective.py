"""Objectives of others: their own denominators and metrics, in jobs, over micro-batches and ranks; a fresh start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.training.fakes import FakeSequence
from tests.training.phases import Reported, digest, phase, train, write_job
from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.base.files import read_json
from tilth.model import export_model
from tilth.training import Factory, launch_job, load_model, make_batch, run_job
from tilth.training.batch import empty_batch

ROOT = Path(__file__).parents[2]


def records(folder: Path) -> list[dict[str, Any]]:
    return list(read_journal(folder / "metrics.jsonl"))


def test_a_batch_knows_the_document_of_every_segment() -> None:
    def sequence(lengths: list[int], documents: list[int], targets: list[int]) -> FakeSequence:
        arrays = (np.array(x) for x in (targets, lengths, documents))
        return FakeSequence(np.arange(6, dtype=np.int32), *arrays)

    first = sequence([2, 3, 1], [7, 4, -1], [1, 2, -1, -1, 5, -1])
    second = sequence([6], [9], [1, 2, 3, 4, 5, 6])
    batch = make_batch([first, second], rows=3, slots=8)
    assert batch.boundaries.offsets.tolist() == [0, 2, 5, 6, 12, 18, 18, 18, 18]
    assert batch.documents.tolist() == [7, 4, -1, 9, -1, -1, -1, -1]
    assert batch.segment_counts.tolist() == [2, 1, 0, 6, 0, 0, 0, 0]
    assert empty_batch(2, 4, 5).documents.tolist() == [-1] * 5


def test_an_objective_of_a_job_with_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its metrics and loss are global means: the same for any micro-batches and ranks; training is what it was."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ours = {"objective": Factory("tests.training.phases:Reported", {"limit": 50.0})}
    for micro in (8, 3):  # 3: the last micro-batch is filled up
        run_job(write_job(tmp_path, str(micro), phase(4, micro_batch=micro), **ours))
    launch_job(write_job(tmp_path, "ranks", phase(4, sequences=8), **ours), 2)
    run_job(write_job(tmp_path, "plain", phase(4)))
    plain = records(tmp_path / "plain")
    assert not any("metrics" in record for record in plain)
    for name in ("8", "3", "ranks"):
        for record, known, reference in zip(records(tmp_path / name), plain, records(tmp_path / "8"), strict=True):
            assert record["metrics"]["nats"] == pytest.approx(known["loss"], abs=1e-10)
            assert record["loss"] > 2 * known["loss"]  # a document has more than two tokens
            assert record["metrics"]["number"] == reference["metrics"]["number"]
            assert record["groups"] == pytest.approx(reference["groups"], abs=1e-10)
    names = ("model.safetensors", "optimizer.safetensors")
    assert all((tmp_path / "8" / n).read_bytes() == (tmp_path / "plain" / n).read_bytes() for n in names)
    seen = [read_json(tmp_path / name / "state.json")["seen"] for name in ("8", "ranks", "plain")]
    assert seen[0] == seen[1] == seen[2]


def test_an_objective_may_warn_and_its_settings_are_part_of_the_phase(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []

    class Stop(Exception):
        pass

    def on_event(event: dict[str, Any]) -> None:
        events.append(event)
        if event["event"] == "checkpoint":
            raise Stop

    with pytest.raises(Stop):
        train(tmp_path, objective=Reported(1.0), on_event=on_event)
    warnings = [event["message"] for event in events if event["event"] == "warning"]
    assert len(warnings) >= 4  # the checkpoint of step 4 is written while training goes on
    assert warnings[0].startswith("step 1: 4.")
    with pytest.raises(UserError, match="belongs to other settings"):
        train(tmp_path, objective=Reported(2.0))


def test_a_fresh_phase_takes_only_the_weights(tmp_path: Path) -> None:
    """As from the same weights in a Hugging Face folder: no optimizer state, order or count goes on."""
    train(tmp_path / "before", phase(3, precision="fp32"))
    export_model(load_model(tmp_path / "before"), tmp_path / "base")
    train(tmp_path / "base-first", phase(3, precision="fp32"), start=tmp_path / "base")
    train(tmp_path / "fresh", phase(3, precision="fp32"), start=tmp_path / "before", fresh=True)
    assert digest(tmp_path / "fresh") == digest(tmp_path / "base-first")
    train(tmp_path / "on", phase(3, precision="fp32"), start=tmp_path / "before")
    weights = [load_file(tmp_path / name / "model.safetensors")["norm.weight"] for name in ("fresh", "on")]
    assert not weights[0].equal(weights[1])
