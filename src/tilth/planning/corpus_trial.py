"""A sample of the input put through the real chain, in this process: what came of it, and what it took."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.errors import UserError
from tilth.base.files import read_json, remove
from tilth.corpus.chain import build_chain
from tilth.corpus.corpus_stage import corpus_stage
from tilth.corpus.measure_stage import measure_stage
from tilth.corpus.report import check_some_left
from tilth.corpus.running.clock import timed
from tilth.corpus.settings import CorpusSettings
from tilth.corpus.sources import InputFile
from tilth.corpus.steps import ColumnDecision, CorpusEdit
from tilth.planning.corpus_sample import Drawn, head

_WARM = 2**16
"""Bytes of input with which kernels are loaded before the clock starts."""


@dataclass(frozen=True)
class Trial:
    """What the chain made of a sample, and what it took."""

    drawn: Drawn
    report: dict[str, Any]
    """The corpus's own report of the sample."""
    seconds: dict[str, float]
    """CPU-seconds of each step, of reading, writing and bookkeeping; `rest` belongs to none."""
    deciding: frozenset[str]
    """Steps that look at columns of the whole corpus in one process."""
    across: dict[str, int]
    """Steps that look at texts of the whole corpus, and how often each of them reads them all."""
    memory: int
    """Bytes, of the whole process at its peak."""
    working: int
    """Bytes on disk at the peak, the sample itself left out ..."""
    measured: int
    """... of measured documents, which stay for the next run ..."""
    corpus: int
    """... and of the finished corpus."""


def run_trial(settings: CorpusSettings, drawn: Drawn, benchmarks: Sequence[InputFile], folder: Path) -> Trial:
    """Run the chain on the drawn files, everything below `folder`. Raises what the chain itself would raise."""
    with contextlib.suppress(UserError):  # of a few records perhaps none is kept
        _run(settings, [head(drawn.files[0], _WARM, folder / "piece")[0]], benchmarks, folder / "warm")
    remove(folder / "warm")
    work = folder / "work"
    with _peak_size(work) as peak, timed() as seconds:
        meter, started = machine.Meter(), time.process_time()
        _run(settings, drawn.files, benchmarks, work)
        whole = time.process_time() - started
        memory = int(meter.read()["peak_memory_bytes"])
    steps = [step for segment in build_chain(settings, benchmarks).segments for step in segment.steps]
    return Trial(
        drawn=drawn,
        report=dict(read_json(work / "corpus" / "report.json")),
        seconds={**seconds, "rest": max(0.0, whole - sum(seconds.values()))},
        deciding=frozenset(step.name for step in steps if isinstance(step, ColumnDecision)),
        across={step.name: len(step.rounds()) for step in steps if isinstance(step, CorpusEdit)},
        memory=memory,
        working=peak[0],
        measured=_size(work / "measure"),
        corpus=_size(work / "corpus"),
    )


def _run(settings: CorpusSettings, files: Sequence[InputFile], benchmarks: Sequence[InputFile], folder: Path) -> None:
    measure_stage(settings, files, folder / "measure", folder / "measure-work")
    check_some_left(
        corpus_stage(settings, folder / "measure", folder / "corpus", folder / "corpus-work", 1, benchmarks)
    )


@contextlib.contextmanager
def _peak_size(folder: Path) -> Iterator[list[int]]:
    """A list of one number: the most bytes that lay below the folder, looked at ten times a second."""
    peak, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            peak[0] = max(peak[0], _size(folder))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()
        peak[0] = max(peak[0], _size(folder))


def _size(folder: Path) -> int:
    """Bytes below a folder; files may come and go meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
