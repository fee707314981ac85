"""Small phases for the tests of the loop, and a reader for those that run in other processes."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tests.training.fakes import FakeReader, FakeSequence
from tilth.model import Decoder, ModelSettings
from tilth.training import (
    DETERMINISTIC_FILES,
    Batch,
    ComputeSettings,
    Factory,
    Job,
    Losses,
    NextToken,
    PhaseResult,
    PhaseSettings,
    train_phase,
)

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
    told = {name: options.pop(name) for name in ("on_event", "world") if name in options}
    return train_phase(small_job(folder, settings, **options), **told)


def small_job(folder: Path, settings: PhaseSettings | None = None, **options: Any) -> Job:
    """A small phase to train on one thread."""
    options = {"reader": reader(), "start": MODEL, "seed": 1, "compute": COMPUTE, **options}
    return Job(phase=settings or phase(), folder=folder, **options)


def write_job(folder: Path, name: str, settings: PhaseSettings | None = None, **options: Any) -> Path:
    """A small job that trains in `folder/NAME`, as the file that ranks read."""
    options.setdefault("reader", Factory("tests.training.phases:reader"))
    path = folder / f"{name}.json"
    small_job(folder / name, settings, **options).save(path)
    return path


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


class Reported(NextToken):
    """Next-token prediction with a loss a document, and metrics: what an objective of its own may say."""

    def __init__(self, limit: float = 99.0) -> None:
        super().__init__()
        self.limit = limit

    def counts(self, batch: Batch) -> dict[str, int]:
        return super().counts(batch) | {"documents": int((batch.segment_counts > 0).sum())}

    def loss(self, model: Decoder, batch: Batch, counts: Mapping[str, int]) -> Losses:
        found = super().loss(model, batch, counts)
        rows = torch.bucketize(batch.boundaries.offsets[:-1], torch.arange(len(batch.counts)) * 32, right=True) - 1
        units = torch.zeros(len(batch.counts), dtype=torch.int64).index_add(0, rows, (batch.segment_counts > 0).long())
        ids = batch.documents[batch.segment_counts > 0].sum()
        return Losses(
            found.terms,
            found.sums,
            units,
            {"nats": (found.sums.sum(), "next_token"), "number": (ids, "documents")},
        )

    def describe(self) -> dict[str, Any]:
        return {"limit": self.limit}

    def watch(self, step: int, metrics: Mapping[str, float]) -> str | None:
        return f"{metrics['nats']:.1f} nats" if metrics["nats"] > self.limit else None
