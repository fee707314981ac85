"""`compute.recompute: auto`: decided by the forecast whenever a phase starts, and said."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.phases import COMPUTE, MODEL, digest, phase, small_job
from tests.training.test_resume import Stop, stop_at
from tilth.base.errors import UserError
from tilth.laws.architectures import PUBLISHED
from tilth.model.adapters.settings import AdapterSettings
from tilth.pipeline.memory import budget, decided, training_of
from tilth.planning.recompute import SPARE, least_recompute
from tilth.planning.trainer_memory import Training, trainer_memory
from tilth.training import ComputeSettings, train_phase

SHAPE = PUBLISHED["Qwen3-0.6B"]
TRAINING = Training(tokens=8192, length=2048)


def test_the_least_that_fits() -> None:
    needs = {
        how: trainer_memory(SHAPE, replace(TRAINING, recompute=how)).total for how in ("none", "selective", "full")
    }
    assert needs["none"] > needs["selective"] > needs["full"]
    for how, need in needs.items():
        assert least_recompute(SHAPE, TRAINING, SPARE * need).recompute == how
        assert least_recompute(SHAPE, TRAINING, SPARE * need - 1).recompute != how or how == "full"
    assert "a tenth fit into" in least_recompute(SHAPE, TRAINING, SPARE * needs["selective"]).reason
    assert re.search(
        r"none with [0-9.]+ GiB would not fit", least_recompute(SHAPE, TRAINING, SPARE * needs["selective"]).reason
    )
    assert "with a tenth to spare, more than 1.00 GiB" in least_recompute(SHAPE, TRAINING, 2**30).reason


def test_a_compiled_layer_has_nothing_to_select() -> None:
    """There `selective` is `none`: never chosen."""
    compiled = replace(TRAINING, compiled=True)
    for size in range(1, 40):
        assert least_recompute(SHAPE, compiled, size * 2**30).recompute != "selective"


def test_it_is_decided_for_the_machine_and_changes_no_bit(tmp_path: Path) -> None:
    small = COMPUTE.model_copy(update={"recompute": "auto", "memory": 2**20, "checkpoint_steps": 2})
    job = decided(small_job(tmp_path, phase(5), compute=small))
    assert job.compute.recompute == "full"
    told: list[dict[str, Any]] = []
    with pytest.raises(Stop):
        train_phase(job, lambda event: (told.append(event), stop_at(2)(event)))
    (record,) = (event for event in told if event["event"] == "recompute")
    assert record["recompute"] == "full"
    assert "more than 0.00 GiB" in record["because"]
    roomy = decided(replace(job, compute=small.model_copy(update={"memory": 2**40})))
    assert roomy.compute.recompute == "none"
    train_phase(roomy)
    whole = tmp_path / "whole"
    train_phase(small_job(whole, phase(5), compute=small.model_copy(update={"recompute": "none"})))
    assert digest(whole) == digest(tmp_path)


def test_undecided_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="auto is decided by `tilth run`"):
        train_phase(small_job(tmp_path, compute=COMPUTE.model_copy(update={"recompute": "auto"})))


def test_the_dry_run_says_it_with_its_reason(tiny, tmp_path, run_tilth):
    arguments = ["run", str(tiny), "compute.recompute=auto", "--runs", str(tmp_path / "runs"), "--dry-run"]
    status, out, err = run_tilth(*arguments, "compute.memory=64GiB")
    assert not status, err
    assert re.search(r"pretrain-stable: recompute none: 0\.\d\d GiB and a tenth fit into 64.00 GiB", out)
    status, out, err = run_tilth(*arguments, "compute.memory=100MiB", "--json")
    assert not status, err
    told = json.loads(out)["forecast"]["phases"][0]
    assert told["recompute"] == "full"
    assert "with a tenth to spare, more than 0.10 GiB" in told["recompute_because"]


def test_a_model_of_a_folder_has_its_shape(tmp_path: Path) -> None:
    train_phase(small_job(tmp_path / "one", phase(1)))
    compute = COMPUTE.model_copy(update={"recompute": "auto", "memory": 2**40})
    on = decided(small_job(tmp_path / "two", phase(1), start=tmp_path / "one", compute=compute))
    new = decided(small_job(tmp_path / "two", phase(1), start=MODEL, compute=compute))
    assert on.recompute_because == new.recompute_because


def test_what_is_dropped_needs_masks() -> None:
    """The forecast of a phase knows whether it drops, and of what; an adapter drops what it reads."""
    plain = training_of(phase(4), COMPUTE, None)
    assert not any((plain.embedding_dropout, plain.residual_dropout, plain.adapter_dropout))
    dropped = training_of(phase(4, dropout={"embedding": 0.1, "residual": 0.2}), COMPUTE, AdapterSettings(dropout=0.1))
    assert dropped.embedding_dropout
    assert dropped.residual_dropout
    assert dropped.adapter_dropout
    tokens, without = TRAINING.tokens, trainer_memory(SHAPE, TRAINING).activations
    for which, masks in (("embedding_dropout", 1), ("residual_dropout", 2 * SHAPE.layers)):
        held = trainer_memory(SHAPE, replace(TRAINING, **{which: True})).activations
        assert held - without == masks * tokens * SHAPE.hidden, "a byte for each element"


def test_on_a_gpu_it_is_the_gpus_precision_compiler_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch would say there; this machine's processor has no say."""
    long, compute = phase(400, precision="auto"), ComputeSettings(device="auto", processes=2)
    monkeypatch.setattr("tilth.base.machine.fast_bf16", lambda: False)
    monkeypatch.setattr("tilth.base.machine.cpp_compiler", lambda: None)
    here = training_of(long, compute.model_copy(update={"device": "cpu"}), None)
    assert (here.cuda, here.half, here.compiled) == (False, False, False)
    answers = {"kind": "cuda", "fast_bf16": True, "compiler_found": True, "gpu_bytes": 2**36}
    for name, answer in answers.items():
        monkeypatch.setattr(f"tilth.training.device.{name}", lambda *_, answer=answer: answer)
    there = training_of(long, compute, None)
    assert (there.cuda, there.half, there.compiled) == (True, True, True)
    assert budget(compute) == 2**36, "each process has a GPU of its own"
    assert not training_of(phase(400, precision="fp32", compile="off"), compute, None).half
