"""DPO through the loop: micro-batches, ranks, killed and resumed with an adapter; what plain DPO does, and the default.

The last is the fault that everyone meets: on pairs that differ little the chosen answers become less likely too.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.posttrain.dpo_data import MODEL, PairReader, kill_at, log_probabilities, near_duplicates
from tests.training.phases import write_job
from tilth.base import files
from tilth.base.events import read_journal
from tilth.model import Decoder
from tilth.model.adapters import AdapterSettings
from tilth.posttrain.dpo import DPO
from tilth.training import ComputeSettings, Factory, Job, PhaseSettings, launch_job, load_model, train_phase

ROOT = Path(__file__).parents[2]
COMPUTE = ComputeSettings(device="cpu", threads=1, checkpoint_steps=3)


def phase(steps: int, **options: Any) -> PhaseSettings:
    """Eight sequences a step, each of one to four pairs."""
    options = {"precision": "fp64", "sequence_length": 64, "batch_sequences": 8, "compile": "off", **options}
    options.setdefault("optimizer", {"kind": "adamw", "learning_rate": 3e-3, "weight_decay": 0.0})
    return PhaseSettings.model_validate({"tokens": steps * 64 * options["batch_sequences"], **options})


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on chosen answers, as DPO's usually is."""
    folder = tmp_path_factory.mktemp("sft")
    reader = PairReader(near_duplicates(), sides="chosen")
    train_phase(
        Job(phase=phase(40, precision="fp32"), reader=reader, folder=folder, start=MODEL, seed=1, compute=COMPUTE)
    )
    return folder


@pytest.fixture(scope="module")
def reference(start: Path) -> np.ndarray:
    return log_probabilities(load_model(start), near_duplicates())


def train(folder: Path, start: Path, reference: np.ndarray, settings: PhaseSettings, **options: Any) -> None:
    objective = DPO(reference, **options.pop("dpo", {}))
    on_event = options.pop("on_event", None)
    reader = PairReader(near_duplicates())
    job = Job(
        phase=settings,
        reader=reader,
        folder=folder,
        start=start,
        seed=1,
        compute=COMPUTE,
        objective=objective,
        fresh=True,
        **options,
    )
    train_phase(job, on_event)


def assert_equal_runs(one: Path, other: Path) -> None:
    pairs = list(zip(*(read_journal(folder / "metrics.jsonl") for folder in (one, other)), strict=True))
    for a, b in pairs:
        assert a["metrics"] == pytest.approx(b["metrics"], abs=1e-9)
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-10)
        assert a["groups"] == pytest.approx(b["groups"], abs=1e-10)
    x, y = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert max(float((x[name] - y[name]).abs().max()) for name in x) <= 1e-10
    assert files.read_json(one / "state.json")["seen"] == files.read_json(other / "state.json")["seen"]


def test_accumulation_changes_nothing(start: Path, reference: np.ndarray, tmp_path: Path) -> None:
    """One forward of eight, eight of one, three of three (the last is filled up)."""
    for micro in (8, 1, 3):
        train(tmp_path / str(micro), start, reference, phase(3, micro_batch=micro))
    for micro in (1, 3):
        assert_equal_runs(tmp_path / "8", tmp_path / str(micro))


def test_two_ranks_equal_one(
    start: Path, reference: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven sequences a step: the second rank has one less."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    settings = phase(3, batch_sequences=7, micro_batch=2)
    np.save(tmp_path / "reference.npy", reference)
    train(tmp_path / "one", start, reference, settings)
    pairs = Factory("tests.posttrain.dpo_data:open_pairs")
    dpo = Factory("tilth.posttrain.dpo:open_dpo", {"reference": str(tmp_path / "reference.npy")})
    launch_job(
        write_job(tmp_path, "two", settings, reader=pairs, start=start, compute=COMPUTE, objective=dpo, fresh=True), 2
    )
    assert_equal_runs(tmp_path / "one", tmp_path / "two")


def train_and_be_killed(folder: Path, start: Path, reference: np.ndarray, options: dict[str, Any], step: int) -> None:
    train(folder, start, reference, phase(8, precision="fp32"), on_event=kill_at(folder, step), **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"adapter": AdapterSettings(rank=4, dropout=0.1, embeddings=True), "embedding_noise": 5.0}],
    ids=["all weights", "adapter"],
)
def test_killed_equals_not_killed(options: dict[str, Any], start: Path, reference: np.ndarray, tmp_path: Path) -> None:
    """Weights, optimizer, adapter, metrics and state, to the bit."""
    train(tmp_path / "whole", start, reference, phase(8, precision="fp32"), **options)
    for step in (3, 6):
        arguments = (tmp_path / "killed", start, reference, options, step)
        process = multiprocessing.get_context("spawn").Process(target=train_and_be_killed, args=arguments)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    train(tmp_path / "killed", start, reference, phase(8, precision="fp32"), **options)
    names = [name for name in files.list_files(tmp_path / "whole") if not name.startswith(("timings", "conditions"))]
    assert ("adapter/adapter_model.safetensors" in names) == ("adapter" in options)
    for name in names:
        digests = [hashlib.sha256((tmp_path / run / name).read_bytes()).digest() for run in ("whole", "killed")]
        assert digests[0] == digests[1], name


def fate(start: Path, reference: np.ndarray, folder: Path, **dpo: Any) -> tuple[float, float, list[str]]:
    """Share of pairs whose chosen answer fell, accuracy, and the warnings, when all pairs have been trained on."""
    events: list[dict[str, Any]] = []
    # batches of all sequences
    sequences = sum(PairReader(near_duplicates()).sizes)
    settings = phase(80, precision="fp32", batch_sequences=sequences)
    train(folder, start, reference, settings, dpo=dpo, on_event=events.append)
    change = (log_probabilities(load_model(folder), near_duplicates()) - reference).reshape(-1, 2)
    warnings = [event["message"] for event in events if event["event"] == "warning"]
    return float((change[:, 0] < 0).mean()), float((change[:, 0] > change[:, 1]).mean()), warnings


def test_plain_dpo_lowers_the_chosen_answers_and_the_default_does_not(
    start: Path, reference: np.ndarray, tmp_path: Path
) -> None:
    fell, accuracy, warnings = fate(start, reference, tmp_path / "plain", nll=0.0)
    assert fell > 0.5
    assert accuracy >= 0.9
    assert any("the chosen answers have been less likely" in message for message in warnings)
    fell, accuracy, warnings = fate(start, reference, tmp_path / "default")
    assert fell == 0
    assert accuracy >= 0.9
    assert not warnings
    last = list(read_journal(tmp_path / "default" / "metrics.jsonl"))[-1]["metrics"]
    assert last["chosen_fell"] == 0
    assert last["accuracy"] >= 0.9


def test_the_adapters_base_is_untouched(start: Path, reference: np.ndarray, tmp_path: Path) -> None:
    """DPO with an adapter: its folder on the base is the merged model."""
    from tilth.model.adapters import load_adapter, merge

    train(tmp_path, start, reference, phase(3, precision="fp32"), adapter=AdapterSettings(rank=4))
    base: Decoder = load_model(start)
    load_adapter(base, tmp_path / "adapter")
    merge(base)
    merged = dict(load_model(tmp_path).named_parameters())
    ours = dict(base.named_parameters())
    assert all(torch.equal(ours[name], value) for name, value in merged.items())
