"""One phase: accumulation, phases behind each other, decisions, reports."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.phases import COMPUTE, MODEL, digest, phase, reader, train
from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.model import Decoder, build, export_model
from tilth.training import Batch, FixedMixture, Losses, NextToken, Order, load_model, make_batch


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def distance(a: Path, b: Path) -> float:
    x, y = weights(a), weights(b)
    return max(float((x[name] - y[name]).abs().max()) for name in x)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_accumulation_changes_nothing(kind: str, tmp_path: Path) -> None:
    optimizer = {"kind": kind, "learning_rate": 1e-3} | ({"muon_learning_rate": 1e-3} if kind == "muon" else {})
    for micro in (8, 1, 4, 3):  # 3: the last micro-batch is filled up
        train(tmp_path / str(micro), phase(6, micro_batch=micro, optimizer=optimizer, z_loss=1e-3))
    for micro in (1, 4, 3):
        assert distance(tmp_path / "8", tmp_path / str(micro)) <= 1e-10
        pairs = zip(
            *(read_journal(tmp_path / name / "metrics.jsonl") for name in ("8", str(micro))),
            strict=True,
        )
        for a, b in pairs:
            assert a["loss"] == pytest.approx(b["loss"], abs=1e-10)
            assert a["groups"] == pytest.approx(b["groups"], abs=1e-10)


def test_first_step_by_hand(tmp_path: Path) -> None:
    """Loss, loss by group and clipped update of step one, computed in the open."""
    optimizer = {"kind": "adamw", "learning_rate": 1e-2, "weight_decay": 0.0}
    train(
        tmp_path,
        phase(1, sequences=6, mixture={"group_0": 0.5, "group_1": 0.5}, optimizer=optimizer, gradient_clip=0.05),
    )
    data, order = reader(), Order(["group_0", "group_1"], [40, 20], 32, seed=1)
    picks = [order.draw([0.5, 0.5]) for _ in range(6)]
    model = build(MODEL, seed=1).double()
    total, count = torch.zeros(()), 0
    for group, index in picks:
        batch = make_batch([data.read(group, index)])
        hidden = model(batch.tokens, batch.positions, batch.boundaries)
        losses = torch.nn.functional.cross_entropy(
            model.logits(hidden), batch.targets, ignore_index=-1, reduction="none"
        )
        total, count = total + losses.sum(), count + batch.target_count
    (total / count).backward()
    (record,) = read_journal(tmp_path / "metrics.jsonl")
    assert record["loss"] == pytest.approx(float(total.detach()) / count, abs=1e-12)
    norm = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert record["gradient_norm"] == pytest.approx(float(norm), rel=1e-10)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        gradient = parameter.grad * 0.05 / norm
        expected = parameter - 1e-2 * gradient / (gradient.abs() + 1e-8)  # AdamW's first step
        assert (weights(tmp_path)[name] - expected).abs().max() <= 1e-12


def test_the_loss_falls_and_repeats_to_the_bit(tmp_path: Path) -> None:
    settings = phase(20, precision="fp32", schedule={"warmup": 500, "shape": "linear", "decay": 0.4})
    compute = COMPUTE.model_copy(update={"threads": 2, "checkpoint_steps": 100})
    results = [train(tmp_path / name, settings, compute=compute) for name in "ab"]
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    records = list(read_journal(tmp_path / "a" / "metrics.jsonl"))
    assert records[0]["loss"] > 3.5
    assert results[0].loss < 3.6
    assert [record["step"] for record in records] == list(range(1, 21))
    assert results[0].tokens == records[-1]["tokens"] == 20 * 8 * 32
    assert len(list(read_journal(tmp_path / "a" / "timings.jsonl"))) == 20


def test_compiled_trains_alike(tmp_path: Path) -> None:
    for mode in ("on", "off"):
        train(tmp_path / mode, phase(12, precision="bf16", compile=mode))
    on, off = (list(read_journal(tmp_path / mode / "metrics.jsonl")) for mode in ("on", "off"))
    assert on[-1]["loss"] == pytest.approx(off[-1]["loss"], rel=2e-2)


def test_a_finished_phase_is_not_trained_again(tmp_path: Path) -> None:
    first = train(tmp_path)
    second = train(tmp_path)
    assert second.finished_before
    assert (second.loss, second.seen, second.steps) == (first.loss, first.seen, first.steps)


def test_two_phases_with_one_optimizer_are_one(tmp_path: Path) -> None:
    """Weights, optimizer state and order go on: halves at a constant rate (and with whole quotas) equal the whole."""
    whole = train(tmp_path / "whole", phase(10, sequences=9))
    train(tmp_path / "first", phase(5, sequences=9))
    second = train(tmp_path / "second", phase(5, sequences=9), start=tmp_path / "first")
    assert second.seen == whole.seen
    ours = [list(read_journal(tmp_path / name / "metrics.jsonl")) for name in ("whole", "first", "second")]
    assert [r["loss"] for r in ours[0]] == [r["loss"] for r in ours[1] + ours[2]]
    assert distance(tmp_path / "whole", tmp_path / "second") == 0


def test_a_change_of_optimizer_is_reported(tmp_path: Path) -> None:
    train(tmp_path / "first", phase(2))
    events: list[dict[str, Any]] = []
    settings = phase(2, optimizer={"kind": "adamw", "learning_rate": 1e-3})
    train(tmp_path / "second", settings, start=tmp_path / "first", on_event=events.append)
    assert any("optimizer state begins at zero" in event.get("message", "") for event in events)


def test_starting_from_a_hugging_face_folder(tmp_path: Path) -> None:
    export_model(build(MODEL, seed=1), tmp_path / "base")
    imported = train(tmp_path / "imported", phase(3, precision="fp32"), start=tmp_path / "base")
    fresh = train(tmp_path / "fresh", phase(3, precision="fp32"))
    assert imported.loss == fresh.loss
    assert distance(tmp_path / "imported", tmp_path / "fresh") == 0
    model = load_model(tmp_path / "imported")
    assert isinstance(model, Decoder)
    assert torch.equal(model.embedding.weight, weights(tmp_path / "imported")["embedding.weight"])


class Poisoned(NextToken):
    """A loss, and what is written of it, that is infinite in some steps."""

    def __init__(self, calls: Container[int]) -> None:
        super().__init__()
        self.calls, self.call = calls, 0

    def loss(self, model: Decoder, batch: Batch, counts: Mapping[str, int]) -> Losses:
        found = super().loss(model, batch, counts)
        self.call += 1
        factor = float("inf") if self.call in self.calls else 1.0
        return Losses({name: term * factor for name, term in found.terms.items()}, found.sums * factor)


def test_a_step_that_is_not_finite_is_skipped_and_written_down(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    result = train(tmp_path, objective=Poisoned({4, 7}), on_event=events.append)
    assert [e["message"] for e in events if e["event"] == "warning"] == [
        f"step {step}: the gradient is not finite (nan); the update is skipped" for step in (4, 7)
    ]
    text = (tmp_path / "metrics.jsonl").read_text() + (tmp_path / "state.json").read_text()
    assert not any(word in text for word in ("NaN", "Infinity"))
    losses = [record["loss"] for record in read_journal(tmp_path / "metrics.jsonl")]
    assert [step for step, loss in enumerate(losses, 1) if loss is None] == [4, 7]
    assert result.loss == losses[-1]
    decisions = list(read_journal(tmp_path / "decisions.jsonl"))
    assert [(d["step"], d["decision"]) for d in decisions] == [(4, "skip_update"), (7, "skip_update")]
    order, weights_used = Order(["group_0", "group_1"], [40, 20], 32, seed=1), [2 / 3, 1 / 3]
    steps = [[order.draw(weights_used) for _ in range(8)] for _ in range(4)]
    assert decisions[0]["sequences"] == [[f"group_{group}", index] for group, index in steps[3]]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights(tmp_path).values())


def test_a_phase_whose_gradient_stays_not_finite_ends_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"20 steps in a row, up to step 22 \(lower optimizer\.learning_rate"):
        train(tmp_path, phase(40), objective=Poisoned(range(3, 99)))
    with pytest.raises(UserError, match="up to step 22"):  # those before the last checkpoint count
        train(tmp_path, phase(40), objective=Poisoned(range(99)))
    train(tmp_path / "last", phase(3), objective=Poisoned({3}))
    assert math.isnan(train(tmp_path / "last", phase(3)).loss)


class Alternating(FixedMixture):
    """Moves all weight to the group with the larger last loss: a controller with a state."""

    def __init__(self) -> None:
        super().__init__(["group_0", "group_1"], [40, 20], None)
        self.next = [0.5, 0.5]

    def weights(self, step: int) -> list[float]:
        return list(self.next)

    def observe(self, step: int, losses: Mapping[str, float]) -> None:
        if step % 3 == 2 and len(losses) == 2:
            self.next = [0.75, 0.25] if losses["group_0"] > losses["group_1"] else [0.25, 0.75]

    def state_dict(self) -> dict[str, Any]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.next = state["next"]


def test_decisions_of_a_controller_are_kept_and_replayed(tmp_path: Path) -> None:
    """Stopped and resumed at any checkpoint, an online mixture decides the same."""
    train(tmp_path / "whole", phase(12), controller=Alternating())
    decisions = list(read_journal(tmp_path / "whole" / "decisions.jsonl"))
    assert decisions
    assert all(d["decision"] == "weights" and d["from_step"] == d["step"] + 1 for d in decisions)

    class Stop(Exception):
        pass

    for at in (4, 8):
        folder = tmp_path / f"stopped{at}"

        def stop(event: dict[str, Any], at: int = at) -> None:
            if event["event"] == "checkpoint" and event["step"] == at:
                raise Stop

        with pytest.raises(Stop):
            train(folder, phase(12), controller=Alternating(), on_event=stop)
        train(folder, phase(12), controller=Alternating())
        assert digest(folder) == digest(tmp_path / "whole")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="packed at 16"):
        train(tmp_path, reader=reader(length=16))
    with pytest.raises(UserError, match="did you mean 'group_1'"):
        train(tmp_path, phase(2, mixture={"group_2": 1.0}))
