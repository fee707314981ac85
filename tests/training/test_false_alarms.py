"""No false alarm in 5,000 clean steps: the whole loop on grammar text of three domains, Chinese and English."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.fakes import FakeSequence
from tilth.base.events import read_journal
from tilth.model import ModelSettings
from tilth.synthesis.documents import generate
from tilth.synthesis.write import GRAMMARS
from tilth.training import ComputeSettings, Job, PhaseSettings, train_phase
from tilth.training.settings import GuardSettings

LENGTH, STEPS = 96, 5000


class Bytes:
    """Documents as UTF-8 bytes, cut into sequences; every end of a document begins a segment."""

    length = LENGTH

    def __init__(self) -> None:
        self.group_names = ["stories", "arithmetic", "people"]
        self.groups = [self._packed(generate(kind, GRAMMARS[kind], 3000, seed=1)) for kind in self.group_names]
        self.sizes = [len(tokens) for tokens in self.groups]

    @staticmethod
    def _packed(documents: Iterator[Any]) -> np.ndarray:
        texts = [document["text"].encode() + b"\0" for document in documents]
        stream = np.frombuffer(b"".join(texts), np.uint8).astype(np.int32)
        rows = (len(stream) - 1) // LENGTH
        places = np.arange(rows)[:, None] * LENGTH + np.arange(LENGTH + 1)
        return stream[places]

    def read(self, group: int, index: int) -> FakeSequence:
        """Sequence `index` of a group."""
        row = self.groups[group][index]
        cuts = [0, *(np.flatnonzero(row[: LENGTH - 1] == 0) + 1).tolist(), LENGTH]
        lengths = np.diff(cuts).astype(np.int32)
        return FakeSequence(row[:-1], row[1:].astype(np.int32), lengths, np.arange(len(lengths), dtype=np.int64))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [{"kind": "muon"}, {"kind": "adamw", "learning_rate": 3e-3}])
def test_no_false_alarm_in_5000_clean_steps_of_training(optimizer: dict[str, Any], tmp_path: Path) -> None:
    """Warm-up, mixture of three groups, decay: nothing is skipped, gone back from, or warned of."""
    events: list[dict[str, Any]] = []
    phase = PhaseSettings.model_validate(
        {
            "tokens": STEPS * 4 * LENGTH,
            "sequence_length": LENGTH,
            "batch_sequences": 4,
            "precision": "fp32",
            "compile": "off",
            "max_epochs": 1e9,
            "mixture": {"stories": 0.4, "arithmetic": 0.4, "people": 0.2},
            "optimizer": optimizer,
            "schedule": {"warmup": 200 * 4 * LENGTH, "shape": "linear", "decay": 0.3},
        }
    )
    assert phase.guard == GuardSettings(), "the guard as every run has it"
    job = Job(
        phase=phase,
        reader=Bytes(),
        folder=tmp_path / "phase",
        start=ModelSettings(hidden=48, heads=3, layers=2).config(256),
        seed=1,
        compute=ComputeSettings(device="cpu", threads=1, checkpoint_steps=1000),
    )
    assert train_phase(job, events.append).steps == STEPS
    assert not list(read_journal(tmp_path / "phase" / "decisions.jsonl"))
    assert not [event for event in events if event["event"] == "warning"]
    losses = [record["loss"] for record in read_journal(tmp_path / "phase" / "metrics.jsonl")]
    assert len(losses) == STEPS
    assert losses[0] == pytest.approx(math.log(256), abs=0.2)
    print(f"{optimizer['kind']}: loss {losses[0]:.2f} to {np.mean(losses[-100:]):.2f}")
    assert np.mean(losses[-100:]) < 1.0
