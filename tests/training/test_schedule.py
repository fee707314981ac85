"""Learning rates as functions of tokens."""

from __future__ import annotations

import math

import pytest

from tilth.base.errors import UserError
from tilth.base.settings import validate
from tilth.training import PhaseSettings, ScheduleSettings, multiplier
from tilth.training.batch_size import BatchSizes


@pytest.mark.parametrize(
    ("shape", "half"), [("linear", 0.55), ("cosine", 0.55), ("one_minus_sqrt", 0.1 + 0.9 * (1 - math.sqrt(0.5)))]
)
def test_warm_up_stable_decay(shape: str, half: float) -> None:
    schedule = ScheduleSettings.model_validate({"warmup": 100, "shape": shape, "decay": 0.4, "end": 0.1})
    found = [multiplier(schedule, tokens, 1000) for tokens in (0, 50, 100, 600, 800, 1000, 2000)]
    assert found == pytest.approx([0, 0.5, 1, 1, half, 0.1, 0.1])


def test_phases_join() -> None:
    stable = ScheduleSettings.model_validate({"warmup": "1k"})
    annealing = ScheduleSettings.model_validate({"shape": "linear"})
    assert multiplier(stable, 5000, 5000) == multiplier(annealing, 0, 2000) == 1
    rewarmed = ScheduleSettings.model_validate({"warmup": 10, "start": 0.3})
    assert multiplier(rewarmed, 5, 100) == pytest.approx(0.15)
    assert multiplier(rewarmed, 100, 100) == pytest.approx(0.3)


def test_no_step_is_lost_at_rate_zero() -> None:
    schedule = ScheduleSettings.model_validate({"warmup": 1000, "shape": "linear"})
    batches = BatchSizes([], 1, 100, 5000)
    assert all(multiplier(schedule, batches.middle(step), batches.tokens) > 0 for step in range(50))


def test_steps_and_batches() -> None:
    phase = PhaseSettings.model_validate({"tokens": "3.9M", "sequence_length": 256, "batch_tokens": 4096})
    assert (phase.sequences, phase.steps) == (16, 952)
    for wrong, message in (
        ({"tokens": 1, "batch_tokens": 4096, "batch_sequences": 2}, "not both"),
        ({"tokens": 1, "mixture": {"a": 0.0}}, "one is above"),
        ({"tokens": 1, "mixture": {"a": 1.0, "b": -1.0}}, "one is above"),
        ({"tokens": 1, "schedule": {"end": 0.0}}, "end would do nothing under shape: constant"),
        ({"tokens": 1, "schedule": {"shape": "constant", "decay": 0.4, "end": 0.1}}, "decay and end would do nothing"),
        ({"tokens": 1, "optimizer": {"kind": "adamw", "momentum": 0.9}}, "momentum would do nothing with kind: adamw"),
        ({"tokens": 1, "batch_tokens": 100}, "less than one sequence"),
        ({"tokens": 1, "schedule": {"warm_up": 3}}, "did you mean 'warmup'"),
    ):
        with pytest.raises(UserError, match=message):
            validate(PhaseSettings, wrong, source="recipe.yaml")


def test_settings_read_back_as_they_were_written_out() -> None:
    """Defaults that stand written out, as in the recipe of a run folder, are not taken for idle settings."""
    phase = PhaseSettings.model_validate({"tokens": 1, "optimizer": {"kind": "adamw"}, "schedule": {"warmup": 3}})
    assert PhaseSettings.model_validate(phase.canonical()) == phase


def test_zero_weights_and_permissions_shape_nothing() -> None:
    given = {"tokens": "1M", "mixture": {"a": 1, "b": 0}, "max_epochs": 9}
    phase, plain = (PhaseSettings.model_validate(x) for x in (given, {"tokens": "1M", "mixture": {"a": 1.0}}))
    assert phase.mixture == {"a": 1.0}
    assert phase.shaping() == plain.shaping()


def test_sequences_of_a_forward() -> None:
    assert PhaseSettings.model_validate({"tokens": 1, "sequence_length": 512}).micro_batch_sequences == 16
    assert PhaseSettings.model_validate({"tokens": 1, "sequence_length": 10_000}).micro_batch_sequences == 1
    assert PhaseSettings.model_validate({"tokens": 1, "micro_batch": 3}).micro_batch_sequences == 3
