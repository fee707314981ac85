from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.laws.architectures import PUBLISHED
from tilth.laws.memory import (
    STATE_BYTES,
    Activations,
    layer_activations,
    model_states,
    short_activations,
    stage_layers,
)
from tilth.laws.model_size import parameters


def evidence(real_data: Path, name: str) -> list[dict[str, str]]:
    table = real_data.parent / "evidence" / name
    if not table.exists():
        pytest.skip(f"no such table: {table}")
    return list(csv.DictReader(table.open()))


def test_the_zero_table_to_its_digits(real_data: Path) -> None:
    rows = evidence(real_data, "zero_memory_formula.csv")
    for row in rows:
        for stage, column in enumerate(("baseline_GB", "stage1_GB", "stage2_GB", "stage3_GB")):
            held = model_states(float(row["params"]), STATE_BYTES["mixed"], stage, int(row["n_dp"]))  # type: ignore[arg-type]
            digits = len(row[column].partition(".")[2])
            assert round(held.total / 1e9, digits) == pytest.approx(float(row[column]), abs=1.01 * 10**-digits)
    assert len(rows) == 18


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mixed", (120, 31.41, 16.64, 1.88)),
        ("autocast", (120, 60.94, 31.41, 1.88)),
        ("fp32_gradients", (135, 46.41, 16.88, 2.11)),
        ("muon", (90, 60.47, 30.94, 1.41)),
    ],
)
def test_every_way_of_keeping_states(name: str, expected: tuple[float, ...]) -> None:
    """7.5 B parameters on 64 devices (Rajbhandari et al. 2020, figure 1, and the other ways by hand)."""
    found = [model_states(7.5e9, STATE_BYTES[name], stage, 64).total / 1e9 for stage in (0, 1, 2, 3)]  # type: ignore[arg-type]
    assert found == pytest.approx(expected, abs=0.0051)


def test_the_activation_table_to_three_digits(real_data: Path) -> None:
    ways: dict[str, dict[str, Any]] = {
        "none_GiB": {"tensor": 1},
        "tp_GiB": {},
        "tp_sp_GiB": {"sequence_parallel": True},
        "tp_selective_GiB": {"recompute": "selective"},
        "tp_sp_selective_GiB": {"sequence_parallel": True, "recompute": "selective"},
        "full_recompute_GiB": {"recompute": "full"},
    }
    rows = evidence(real_data, "activation_memory_formula.csv")
    for row in rows:
        frame = {"sequence": int(row["seq"]), "micro_batch": int(row["microbatch"]), "hidden": int(row["hidden"]),
                 "heads": int(row["heads"]), "tensor": int(row["tp"])}  # fmt: skip
        for column, changes in ways.items():
            x = Activations(**{**frame, **changes})
            assert int(row["layers"]) * layer_activations(x) / 2**30 == pytest.approx(float(row[column]), abs=6e-4), (
                column
            )
    assert len(rows) == 4


def test_the_short_form_of_llama() -> None:
    residual, head = short_activations(32, 4096, 32000, 2048)
    assert (round(residual / 1e9, 3), round(head / 1e9, 3), round((residual + head) / 1e9, 3)) == (0.537, 0.786, 1.323)
    assert round(16 * parameters(PUBLISHED["LLaMA-7B"]) / 1e9, 2) == 107.81


def test_layers_that_wait_on_the_first_stage() -> None:
    """L under 1F1B; L (1 + (p - 1) / (p m)) interleaved (Korthikanti et al. 2022, section 4.2.3)."""
    assert stage_layers(24, 4) == 24
    assert stage_layers(24, 4, 3) == 24 * (1 + 3 / 12)


@settings(deadline=None)
@given(st.floats(1, 1e12), st.integers(1, 4096), st.sampled_from(sorted(STATE_BYTES)))
def test_zero_conserves_and_never_grows(count: float, ranks: int, name: str) -> None:
    """Stage 0 is the sum of all bytes; each stage holds no more than the one before; all ranks of stage 3 hold all."""
    totals = [model_states(count, STATE_BYTES[name], stage, ranks).total for stage in (0, 1, 2, 3)]  # type: ignore[arg-type]
    assert totals[0] == pytest.approx(count * STATE_BYTES[name].total)
    assert totals == sorted(totals, reverse=True)
    assert totals[3] * ranks == pytest.approx(totals[0])
