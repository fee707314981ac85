"""Forecast of a training step's peak memory beside what the trainer really allocates.

    python benchmarks/peak_memory.py [--only NAME]

Each setting trains three steps in a process of its own under torch's profiler, whose memory events name every
allocation and release of a tensor; the peak of their running sum is set against `trainer_memory`, tensors alone. A
second process without the profiler tells the peak of its resident memory. A CPU multiplies 8-bit floats in fp32, in
memory that no GPU takes: under fp8 products are zeros of their size. Writes results/peak_memory.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base import machine
from tilth.base.files import write_json
from tilth.model import ModelSettings
from tilth.planning.trainer_memory import TARGETS, Training, trainer_memory

RESULT = Path(__file__).parent / "results" / "peak_memory.json"
SMALL = {"hidden": 256, "layers": 4, "heads": 4, "qk_norm": False, "tie_embeddings": False}
DEEP = {**SMALL, "layers": 8}
WIDE = {**SMALL, "hidden": 512, "heads": 8, "layers": 6}


@dataclass(frozen=True)
class Case:
    """One setting."""

    name: str
    model: dict[str, Any]
    vocabulary: int = 4096
    length: int = 512
    rows: int = 8
    """Sequences of a micro-batch."""
    micro_batches: int = 1
    document: int = 512
    """Tokens of each document."""
    precision: str = "bf16"
    optimizer: str = "adamw"
    compile: str = "off"
    rank: int = 0
    targets: tuple[str, ...] = TARGETS
    kind: str = "next_token"
    recompute: str = "none"
    processes: int = 1
    shard: str = "none"
    embedding: float = 0.0
    """Dropout of the embedded tokens,"""
    residual: float = 0.0
    """of what a layer adds,"""
    adapter: float = 0.0
    """and of an adapter's inputs."""


CASES = [
    Case("fp32", SMALL, precision="fp32"),
    Case("bf16", SMALL),
    Case("compiled fp32", SMALL, precision="fp32", compile="on"),
    Case("compiled bf16", SMALL, compile="on"),
    Case("tied", {**SMALL, "tie_embeddings": True}, vocabulary=16384),
    Case("tied, compiled", {**SMALL, "tie_embeddings": True}, vocabulary=16384, compile="on"),
    Case("query-key norms", {**SMALL, "qk_norm": True}),
    Case("query-key norms, fp32", {**SMALL, "qk_norm": True}, precision="fp32"),
    Case("query-key norms, compiled", {**SMALL, "qk_norm": True}, compile="on"),
    Case("grouped keys", {**SMALL, "heads": 8, "kv_heads": 2}),
    Case("grouped keys, fp32", {**SMALL, "heads": 8, "kv_heads": 2}, precision="fp32"),
    Case("short documents", SMALL, document=64),
    Case("short documents, fp32", SMALL, document=64, precision="fp32"),
    Case("long sequences", SMALL, length=2048, rows=2, document=2048),
    Case("long sequences, compiled", SMALL, length=2048, rows=2, document=2048, compile="on"),
    Case("large vocabulary", {**SMALL, "layers": 2}, vocabulary=65536, rows=2),
    Case("large vocabulary, fp32", {**SMALL, "layers": 2}, vocabulary=65536, rows=2, precision="fp32"),
    Case("muon, small batch", {**SMALL, "hidden": 512, "heads": 8, "layers": 6}, rows=1, optimizer="muon"),
    Case("muon fp32, small batch", {**SMALL, "hidden": 512, "heads": 8, "layers": 6}, rows=1, optimizer="muon",
         precision="fp32"),
    Case("muon", {**SMALL, "qk_norm": True, "tie_embeddings": True}, optimizer="muon"),
    Case("muon, compiled", {**SMALL, "qk_norm": True, "tie_embeddings": True}, optimizer="muon", compile="on"),
    Case("accumulated", SMALL, rows=4, micro_batches=3),
    Case("deep and narrow", {**SMALL, "hidden": 128, "layers": 12, "heads": 2}),
    Case("wide and shallow", {**SMALL, "hidden": 768, "layers": 2, "heads": 12}, rows=4),
    Case("adapter", SMALL, rank=16),
    Case("adapter, fp32", SMALL, rank=8, precision="fp32"),
    Case("20 M, the speed table's", {**SMALL, "hidden": 384, "layers": 8, "heads": 6, "intermediate": 1024},
         vocabulary=8192, rows=4, optimizer="muon"),
    Case("adapter, compiled", SMALL, rank=16, compile="on"),
    Case("adapter, recomputed", DEEP, rank=16, recompute="full"),
    Case("adapter of queries", SMALL, rank=16, targets=("query", "value")),
    Case("preferences", SMALL, kind="dpo", document=128),
    Case("recomputed", DEEP, recompute="full"),
    Case("recomputed, fp32", DEEP, recompute="full", precision="fp32"),
    Case("recomputed, compiled", DEEP, recompute="full", compile="on"),
    Case("recomputed, query-key norms, muon", {**DEEP, "qk_norm": True}, recompute="full", optimizer="muon"),
    Case("recomputed in part", DEEP, recompute="selective"),
    Case("recomputed in part, fp32", DEEP, recompute="selective", precision="fp32"),
    Case("recomputed in part, query-key norms", {**DEEP, "qk_norm": True}, recompute="selective"),
    Case("dropout", SMALL, embedding=0.1, residual=0.1),
    Case("dropout, fp32", SMALL, embedding=0.1, residual=0.1, precision="fp32"),
    Case("dropout, compiled", SMALL, embedding=0.1, residual=0.1, compile="on"),
    Case("dropout, large vocabulary", {**SMALL, "layers": 2}, vocabulary=65536, rows=2, residual=0.1),
    Case("dropout, recomputed", DEEP, embedding=0.1, residual=0.1, recompute="full"),
    Case("dropout, recomputed in part", DEEP, residual=0.1, recompute="selective"),
    Case("dropout, accumulated, muon", DEEP, rows=4, micro_batches=3, embedding=0.1, residual=0.1, optimizer="muon"),
    Case("dropout, adapter", SMALL, rank=16, residual=0.1, adapter=0.1),
    Case("dropout of an adapter alone", SMALL, rank=16, adapter=0.1),
    Case("dropout of an adapter, compiled", SMALL, rank=16, adapter=0.1, compile="on"),
    Case("dropout of an adapter, recomputed", DEEP, rank=16, residual=0.1, adapter=0.1, recompute="full"),
    Case("dropout of an adapter of queries", SMALL, rank=16, adapter=0.1, targets=("query", "value")),
    Case("dropout of an adapter of queries, compiled", SMALL, rank=16, adapter=0.1, targets=("query", "value"),
         compile="on"),
    Case("dropout of an adapter, fp32", SMALL, rank=8, adapter=0.1, precision="fp32"),
    Case("8 bits", SMALL, precision="fp8"),
    Case("8 bits, query-key norms, muon", {**SMALL, "qk_norm": True}, precision="fp8", optimizer="muon"),
    Case("8 bits, recomputed", DEEP, precision="fp8", recompute="full"),
    Case("8 bits, recomputed in part", DEEP, precision="fp8", recompute="selective"),
    Case("8 bits, compiled", SMALL, precision="fp8", compile="on"),
    Case("8 bits, recomputed, compiled", DEEP, precision="fp8", recompute="full", compile="on"),
    Case("8 bits, small batch", WIDE, precision="fp8", rows=1),
    Case("8 bits, parameters shared by 2", WIDE, rows=2, processes=2, shard="parameters", precision="fp8"),
    Case("optimizer shared by 2", WIDE, rows=2, processes=2, shard="optimizer"),
    Case("gradients shared by 2", WIDE, rows=2, processes=2, shard="gradients"),
    Case("parameters shared by 2", WIDE, rows=2, processes=2, shard="parameters"),
    Case("parameters shared by 2, fp32", WIDE, rows=2, processes=2, shard="parameters", precision="fp32"),
    Case("parameters shared by 2, compiled", WIDE, rows=2, processes=2, shard="parameters", compile="on"),
    Case("parameters shared by 4, muon, recomputed", WIDE, rows=2, processes=4, shard="parameters", optimizer="muon",
         recompute="full"),
    Case("parameters shared by 2, adapter", WIDE, rows=2, processes=2, shard="parameters", rank=16),
]  # fmt: skip


class Reader:
    """Sequences of documents of one length."""

    def __init__(self, case: Case) -> None:
        self.case, self.length, self.group_names, self.sizes = case, case.length, ["all"], [64]

    def read(self, group: int, index: int) -> Any:
        """Random tokens; the documents are numbered in order."""
        from tilth.tokens.reader import Sequence

        case = self.case
        draw = np.random.default_rng([group, index])
        tokens = draw.integers(case.vocabulary, size=case.length + 1).astype(np.int32)
        number = case.length // case.document
        documents = index * number + np.arange(number, dtype=np.int64)
        return Sequence(tokens[:-1], tokens[1:], np.full(number, case.document, np.int32), documents)


def train(case: Case) -> None:
    """Three steps of the real trainer."""
    import torch

    from tilth.model.adapters.settings import AdapterSettings
    from tilth.posttrain.dpo import DPO
    from tilth.training import ComputeSettings, Job, PhaseSettings, train_phase

    library = torch.library.Library("aten", "IMPL")
    if case.precision == "fp8":
        library.impl("_scaled_mm", _empty_product, "CPU")
    sequences = case.rows * case.micro_batches * case.processes
    phase = PhaseSettings(
        tokens=3 * sequences * case.length, sequence_length=case.length, batch_sequences=sequences,
        micro_batch=case.rows, precision=case.precision, compile=case.compile, max_epochs=1e9,
        optimizer={"kind": case.optimizer}, dropout={"embedding": case.embedding, "residual": case.residual},
    )  # fmt: skip
    reader = Reader(case)
    adapter = AdapterSettings(rank=case.rank, targets=case.targets, dropout=case.adapter) if case.rank else None
    pairs = np.zeros(64 * case.length // case.document)
    with tempfile.TemporaryDirectory() as folder:
        train_phase(
            Job(
                phase=phase, reader=reader, folder=Path(os.environ.get("FOLDER", folder)) / "phase", seed=0,
                start=ModelSettings(**case.model).config(case.vocabulary),
                compute=ComputeSettings(device="cpu", threads=1, recompute=case.recompute, shard=case.shard),
                adapter=adapter,
                objective=DPO(pairs) if case.kind == "dpo" else None,
            )
        )  # fmt: skip


def _empty_product(
    a: Any,
    b: Any,
    scale_a: Any,
    scale_b: Any,
    bias: Any = None,
    scale: Any = None,
    dtype: Any = None,
    fast: Any = False,
) -> Any:
    """In place of `aten._scaled_mm`."""
    return a.new_zeros(a.shape[0], b.shape[1], dtype=dtype)


def traced(case: Case) -> dict[str, Any]:
    """The peak of all tensors together, and what ran then."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        train(case)
    events = trace.profiler.kineto_results.events()
    live = peak = at = 0
    for when, size in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        live += size
        if live > peak:
            peak, at = live, when
    running = [e.name() for e in events if e.name() != "[memory]" and e.start_ns() <= at <= e.end_ns()]
    return {"peak": peak, "running": sorted(set(running), key=running.index)[:6]}


def resident(case: Case) -> dict[str, Any]:
    """The peak of the process's resident memory, and what it was before training."""
    import torch  # noqa: F401

    import tilth.training.loop  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    train(case)
    return {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "before": before}


def apart(case: Case, how: str) -> dict[str, Any]:
    """`traced` or `resident` in processes of its own; of several the one that holds most."""
    command = [sys.executable, __file__, "--one", json.dumps(asdict(case)), "--how", how]
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        together = {"WORLD_SIZE": str(case.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        together |= {"FOLDER": folder, "OMP_NUM_THREADS": "1"}
        ranks = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                             env={**os.environ, **together, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(case.processes)
        ]  # fmt: skip
        said = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        raise RuntimeError(f"{case.name} failed; its output stands above")
    found = [dict(json.loads(text.splitlines()[-1])) for text in said]
    return max(found, key=lambda one: one["peak" if how == "traced" else "resident"])


def forecast(case: Case) -> Any:
    """What the planner says of it."""
    return trainer_memory(
        ModelSettings(**case.model).config(case.vocabulary).shape,
        Training(
            tokens=case.rows * case.length, length=case.document, half=case.precision != "fp32",
            float8=case.precision == "fp8",
            optimizer="muon" if case.optimizer == "muon" else "adamw", compiled=case.compile == "on", rank=case.rank,
            targets=case.targets, embedding_dropout=case.embedding > 0, residual_dropout=case.residual > 0,
            adapter_dropout=case.adapter > 0,
            recompute=case.recompute, processes=case.processes, shard=case.shard,
        ),
    )  # fmt: skip


def compare(case: Case, *, with_process: bool) -> dict[str, Any]:
    """One row."""
    said, found = forecast(case), apart(case, "traced")
    row = {
        **asdict(case),
        "forecast": round(said.tensors),
        "measured": found["peak"],
        "error": round(said.tensors / found["peak"] - 1, 4),
        "moment": said.moment,
        "running": found["running"],
        "parts": {name: round(value) for name, value in vars(said).items() if isinstance(value, float)},
    }
    if with_process:
        row |= apart(case, "resident")
    print(f"{case.name:<28} {said.tensors / 2**20:8.1f} {found['peak'] / 2**20:8.1f} MiB {row['error']:+7.2%}  "
          f"{said.moment:<24} {' > '.join(found['running'])[:70]}", flush=True)  # fmt: skip
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", help="settings whose name contains this; nothing is written")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--how", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        case = Case(**json.loads(given.one))
        print(json.dumps({"traced": traced, "resident": resident}[given.how](case)))
        return
    rows = [compare(case, with_process=not given.only) for case in CASES if (given.only or "") in case.name]
    print(f"largest error {max(abs(row['error']) for row in rows):.2%} of {len(rows)}")
    if not given.only:
        import torch

        write_json(RESULT, {"torch": torch.__version__, "rows": rows, "machine": machine.describe()})


if __name__ == "__main__":
    main()
