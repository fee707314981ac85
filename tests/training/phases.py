"""Small phases for the tests of the loop, and a reader for those that run in other processes."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

from tests.training.fakes import FakeReader, FakeSequence
from tilth.model import ModelSettings
from tilth.training import DETERMINISTIC_FILES, ComputeSettings, PhaseResult, PhaseSettings, train_phase

SMALL = ModelSettings(hidden=16, heads=2, kv_heads=1, layers=2, output_projections="normal", initial_std=0.1)
MODEL = SMALL.config(64)
COMPUTE = ComputeSettings(device="cpu", threads=1, checkpoint_steps=4)


def reader(**options: Any) -> FakeReader:
    """A reader of 32-token sequences."""
    return FakeReader(**options)


def phase(steps: int = 10, sequences: int = 8, **options: Any) -> PhaseSettings:
    """A phase of `steps` steps."""
    options = {"precision": "fp64", "sequence_length": 32, "batch_sequences": sequences, **options}
    return PhaseSettings.model_validate({"tokens": steps * sequences * 32, **options})


def train(folder: Path, settings: PhaseSettings | None = None, **options: Any) -> PhaseResult:
    """Train a small phase on one thread."""
    options = {"start": MODEL, "seed": 1, "compute": COMPUTE, "reader": reader(), **options}
    return train_phase(settings or phase(), folder=folder, **options)


def digest(folder: Path) -> str:
    """Hash of a finished phase's deterministic files."""
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in DETERMINISTIC_FILES)).hexdigest()


class PressesControlC(FakeReader):
    """Sends SIGINT to its process when it reads its `at`-th sequence."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.reads, self.at = 0, at

    def read(self, group: int, index: int) -> FakeSequence:
        self.reads += 1
        if self.reads == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return super().read(group, index)
