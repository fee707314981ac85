"""The batch ramp: a function of tokens seen, which changes neither the order of the data nor the rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.phases import digest, phase, train
from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.base.settings import Settings, validate
from tilth.training import Interrupted, PhaseSettings, multiplier
from tilth.training.batch_size import BatchSizes

RAMP = [{"until": 256, "batch_sequences": 2}, {"until": 700, "batch_sequences": 4}]
RAMPED = phase(8, batch_ramp=RAMP, schedule={"warmup": 500, "shape": "linear"})


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 6)), max_size=3),
    st.integers(1, 9),
    st.integers(1, 7),
    st.integers(1, 3000),
)
def test_the_batch_is_a_function_of_tokens_seen(
    pieces: list[tuple[int, int]], last: int, length: int, total: int
) -> None:
    """Against a walk, step by step."""
    ramp = sorted(dict(pieces).items())
    sizes = BatchSizes(ramp, last, length, total)
    tokens = 0
    for step in range(sizes.steps):
        expected = next((sequences for until, sequences in ramp if tokens < until), last)
        assert (sizes.before(step), sizes.sequences(step)) == (tokens, expected)
        assert sizes.middle(step) == tokens + expected * length / 2
        tokens += expected * length
    assert sizes.tokens == tokens
    if not ramp:
        assert sizes.steps == max(1, round(total / (last * length)))
    elif total > ramp[-1][0] + 6 * length:
        assert abs(tokens - total) <= last * length / 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch_ramp": [{"until": "2k", "batch_sequences": 4}]}, r"until must rise .* tokens \(2,000\); it is 2,000"),
        ({"batch_ramp": [{"until": 500, "batch_sequences": 8}, {"until": 400, "batch_sequences": 9}]}, "500, 400"),
        (
            {"batch_ramp": [{"until": 500, "batch_sequences": 16}]},
            r"batch_sequences must rise .* batch \(16\); it is 16",
        ),
        ({"batch_ramp": [{"until": 500}]}, "batch_sequences"),
    ],
)
def test_a_ramp_that_does_not_rise_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        validate(PhaseSettings, {"tokens": "2k", "sequence_length": 32, **wrong}, source="recipe.yaml")


def test_without_a_ramp_a_phase_has_the_identity_that_it_always_had() -> None:
    assert "batch_ramp" not in phase(8).shaping()
    assert RAMPED.shaping()["batch_ramp"] == RAMP


def test_rates_and_order_are_those_of_the_tokens(tmp_path: Path) -> None:
    train(tmp_path / "ramp", RAMPED)
    records = list(read_journal(tmp_path / "ramp" / "metrics.jsonl"))
    assert [record["sequences"] for record in records] == [2] * 4 + [4] * 4 + [8] * 5
    before = 0
    for record in records:
        middle, before = (before + record["tokens"]) / 2, record["tokens"]
        rate = RAMPED.optimizer.learning_rate * multiplier(RAMPED.schedule, middle, 2048)
        assert record["learning_rate"] == pytest.approx(rate, rel=1e-12)
    train(tmp_path / "plain", phase(8))
    states = [json.loads((tmp_path / name / "state.json").read_text()) for name in ("ramp", "plain")]
    assert states[0]["order"] == states[1]["order"]
    assert states[0]["seen"] == states[1]["seen"]


@pytest.mark.parametrize("at", [3, 4, 6])
def test_stopped_on_the_ramp_it_goes_on_to_the_bit(at: int, tmp_path: Path) -> None:
    train(tmp_path / "whole", RAMPED)
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    (stopped / "control.yaml").write_text(f"stop_at: {at}\n")
    with pytest.raises(Interrupted):
        train(stopped, RAMPED)
    train(stopped, RAMPED)
    for name in ("model.safetensors", "optimizer.safetensors", "metrics.jsonl", "state.json"):
        assert (stopped / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert digest(stopped) != digest(tmp_path / "whole"), "the control file is a decision"


def test_a_mistake_is_told_with_the_phases_name() -> None:
    class Phases(Settings):
        pretrain: list[PhaseSettings]

    ramp = [{"until": "2k", "batch_sequences": 4}]
    data = {"pretrain": [{"name": "stable", "tokens": 1000, "batch_ramp": ramp}]}
    with pytest.raises(UserError, match=r"pretrain\.stable: batch_ramp: until must rise"):
        validate(Phases, data, source="my.yaml")
