"""Phases that train an adapter: what is trained, saved and merged; memory; NEFTune."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint import FileSystemReader

from tests.training.phases import digest, phase, reader, small_job, train
from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.base.files import read_json
from tilth.model.adapters import AdapterSettings, load_adapter, merge
from tilth.model.draws import embedding_noise, sequence_keys, token_keys
from tilth.training import load_model, make_batch
from tilth.training.loop import _Loop

ADAMW = {"kind": "adamw", "learning_rate": 1e-2}
ADAPTER = AdapterSettings(rank=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    train(folder, phase(4, precision="fp32"))
    return folder


def settings(steps: int = 6, **options: Any) -> Any:
    return phase(steps, **{"precision": "fp32", "optimizer": ADAMW, **options})


def test_a_finished_phase_holds_the_adapter_and_the_merged_model(base: Path, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    result = train(tmp_path, settings(12), start=base, adapter=ADAPTER, fresh=True, on_event=events.append)
    assert result.loss < next(read_journal(tmp_path / "metrics.jsonl"))["loss"]
    stored = load_file(tmp_path / "model.safetensors")
    assert stored.keys() == load_file(base / "model.safetensors").keys()
    model = load_model(base)
    assert load_adapter(model, tmp_path / "adapter") == ADAPTER
    merge(model)
    assert all(torch.equal(stored[name], p) for name, p in model.named_parameters() if name in stored)
    said = read_json(tmp_path / "state.json")["adapter"]
    assert 0 < said["largest_logit_difference"] <= 1e-5
    (merged,) = (event for event in events if event["event"] == "merged")
    assert merged["largest_logit_difference"] == said["largest_logit_difference"]
    on = train(tmp_path / "on", phase(2, precision="fp32"), start=tmp_path, fresh=True)  # the next reads it like any
    assert math.isfinite(on.loss)


def running(base: Path, folder: Path, adapter: AdapterSettings | None) -> _Loop:
    return _Loop(small_job(folder, settings(), start=base, adapter=adapter, fresh=True))


def test_frozen_weights_have_no_gradient_no_state_and_stay_as_they_are(base: Path, tmp_path: Path) -> None:
    """Neither do checkpoints hold them."""
    whole, ours = running(base, tmp_path / "whole", None), running(base, tmp_path / "ours", ADAPTER)
    model = ours.state.model
    before = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert before.keys() == dict(whole.state.model.named_parameters()).keys()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert ours.state.computing.gradients.flat.numel() == trained < whole.state.computing.gradients.flat.numel()
    assert sum(x.numel() for x in ours.state.optimizers.state().values() if x.ndim) == 2 * trained
    finished: list[dict[str, torch.Tensor]] = []
    ours._finish = lambda: finished.append(dict(model.named_parameters()))  # type: ignore[assignment]
    ours.run()
    assert all(torch.equal(finished[0][name], value) for name, value in before.items())
    moved = [name for name, p in finished[0].items() if p.requires_grad and name.endswith("lora_B")]
    assert moved
    assert all(finished[0][name].any() for name in moved)
    (saved,) = (tmp_path / "ours" / "checkpoints").glob("step-*/tensors")
    stored = FileSystemReader(saved).read_metadata().state_dict_metadata
    assert {name for name in stored if name.startswith("model.")} == {
        f"model.{name}" for name, p in finished[0].items() if p.requires_grad
    }


def test_accumulation_and_continuing(base: Path, tmp_path: Path) -> None:
    for micro in (8, 3):
        train(tmp_path / str(micro), settings(4, precision="fp64", micro_batch=micro), start=base, adapter=ADAPTER)
    x, y = (load_file(tmp_path / name / "model.safetensors") for name in ("8", "3"))
    assert max(float((x[name] - y[name]).abs().max()) for name in x) <= 1e-10
    events: list[dict[str, Any]] = []
    train(tmp_path / "next", settings(2), start=tmp_path / "8", adapter=ADAPTER, on_event=events.append)
    assert any("optimizer state begins at zero" in event.get("message", "") for event in events)


def test_another_adapters_checkpoint_is_refused(base: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint":
            raise Stop

    with pytest.raises(Stop):
        train(tmp_path, settings(), start=base, adapter=ADAPTER, on_event=stop)
    with pytest.raises(UserError, match="belongs to other settings"):
        train(tmp_path, settings(), start=base, adapter=AdapterSettings(rank=8))
    train(tmp_path, settings(), start=base, adapter=ADAPTER)
    train(tmp_path / "whole", settings(), start=base, adapter=ADAPTER)
    assert digest(tmp_path) == digest(tmp_path / "whole")


def test_full_rank_learns_and_compiled_trains_alike(base: Path, tmp_path: Path) -> None:
    adapter = AdapterSettings(rank=16, alpha=16)
    for mode in ("on", "off"):
        train(tmp_path / mode, settings(12, precision="bf16", compile=mode), start=base, adapter=adapter, fresh=True)
    on, off = (list(read_journal(tmp_path / mode / "metrics.jsonl")) for mode in ("on", "off"))
    assert off[-1]["loss"] < off[0]["loss"] - 0.2
    assert on[-1]["loss"] == pytest.approx(off[-1]["loss"], rel=2e-2)


def test_muon_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"optimizer\.kind: adamw"):
        train(tmp_path, phase(2), start=base, adapter=ADAPTER)


def test_neftune_noise_is_of_the_papers_size_and_acts_in_training_alone(base: Path, tmp_path: Path) -> None:
    batch = make_batch([reader(length=4000, mean=700, sizes=(1,)).read(0, 0)])
    keys_N = token_keys(sequence_keys(1, "sft", 0, [0], torch.device("cpu")), 4000)
    noise_NH = embedding_noise(torch.zeros(4000, 32), keys_N, batch.boundaries, 5.0)
    for begin, end in batch.boundaries.offsets.unfold(0, 2, 1).tolist():
        bound = 5 / math.sqrt((end - begin) * 32)
        part = noise_NH[begin:end]
        assert float(part.abs().max()) <= bound
        if end - begin > 100:
            assert float(part.abs().max()) > 0.99 * bound
            assert abs(float(part.mean())) < 0.05 * bound
            assert float(part.var()) == pytest.approx(bound**2 / 3, rel=0.05), "uniform"
    for name, alpha in (("a", 5.0), ("b", 5.0), ("none", 0.0)):
        train(tmp_path / name, settings(3), start=base, fresh=True, embedding_noise=alpha)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "none")
