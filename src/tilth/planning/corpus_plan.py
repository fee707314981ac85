"""What the corpus chain will need for an input of any size, from a trial on a sample: every figure with its formula."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field

from tilth.base.progress import byte_size, duration
from tilth.base.settings import Settings
from tilth.corpus.running.across import part_memory
from tilth.corpus.running.clock import BOOKS
from tilth.corpus.settings import CorpusSettings
from tilth.planning.corpus_trial import Trial
from tilth.planning.figures import CURRENCY
from tilth.planning.ranges import Currency, Price

GROWING = ("exact", "near", "passages", "substring")
"""Steps that remove a larger share of a larger corpus."""
SORTING = ("exact", "near")
"""Steps whose time grows as N log N."""
DECIDING_BYTES = 80
"""Memory for each document in the process that decides, at most (measured with 0.15 and 0.75 million)."""
_SIGNATURE_BYTES = 448
_NUMBERS = 2**31
"""Documents that `passages` and `substring` can tell apart, and groups of `near`."""


class Hardware(Settings):
    """What the work is to run on."""

    nodes: int = Field(1, ge=1)
    cores: int = Field(1, ge=1)
    """Of each node, a process each."""
    price_per_hour: Price | None = None
    """Of one node."""
    currency: Currency = CURRENCY


@dataclass(frozen=True)
class Figure:
    """One line of the forecast."""

    name: str
    value: float
    unit: str
    """`B`, `s`, `documents`, the name of a currency, or empty."""
    how: str
    """The formula, in words and numbers."""

    def as_text(self) -> str:
        """The value for people."""
        match self.unit:
            case "B":
                return byte_size(self.value)
            case "s":
                return duration(self.value)
            case "documents":
                return f"{self.value:,.0f}" if self.value < 1e7 else f"{self.value:.3g}"
        return f"{self.value:,.2f} {self.unit}".rstrip()


@dataclass(frozen=True)
class StepLine:
    """One step of the chain in the trial."""

    step: str
    seconds_per_mb: float
    """CPU-seconds for each MB (10^6 bytes) of text that the chain reads."""
    documents_in: int | None
    documents_out: int | None
    bytes_in: int | None
    bytes_out: int | None
    with_size: str
    """What becomes of its time and of the share that it removes when the corpus grows."""


@dataclass(frozen=True)
class CorpusPlan:
    """The forecast of a chain."""

    exact: bool
    """The sample is the whole of what was asked for: documents and bytes are counted, not forecast."""
    sample: dict[str, Any]
    steps: tuple[StepLine, ...]
    figures: tuple[Figure, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values; figures by name."""
        figures = {f.name: {"value": f.value, "unit": f.unit, "how": f.how} for f in self.figures}
        return {**asdict(self), "figures": figures}

    def as_text(self) -> str:
        """For people."""
        s = self.sample
        lines = [
            f"sample     {s['files']} of {s['of_files']} files, {byte_size(s['bytes'])} of {byte_size(s['of_bytes'])}: "
            f"{s['documents']:,} documents, {byte_size(s['text'])} of text, {s['cpu_seconds']:.1f} CPU-seconds",
            f"asked for  {byte_size(s['asked_bytes'])} of such files on {s['on']}",
            "",
            f"  {'step':<14} {'CPU-s/MB':>9} {'documents in':>13} {'out':>10} {'text in':>10} {'out':>10}  with size",
        ]
        lines += [_step_text(line) for line in self.steps]
        width = max(len(figure.name) for figure in self.figures)
        lines += ["", *(f"  {f.name:<{width}} {f.as_text():>11}  {f.how}" for f in self.figures)]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def _step_text(line: StepLine) -> str:
    counts = ("", "", "", "")
    if line.documents_in is not None:
        counts = (f"{line.documents_in:,}", f"{line.documents_out:,}",
                  byte_size(line.bytes_in or 0), byte_size(line.bytes_out or 0))  # fmt: skip
    return (
        f"  {line.step:<14} {line.seconds_per_mb:>9.4f} {counts[0]:>13} {counts[1]:>10} {counts[2]:>10} "
        f"{counts[3]:>10}  {line.with_size}"
    )


def plan(trial: Trial, settings: CorpusSettings, hardware: Hardware, size: int | None = None) -> CorpusPlan:
    """The forecast for `size` bytes of input files as they lie (None: for the input that the sample is of)."""
    drawn, report = trial.drawn, trial.report
    asked = drawn.of_bytes if size is None else size
    scale = asked / drawn.bytes
    text = report["bytes_in"]
    sample = {
        "files": len(drawn.files), "of_files": drawn.of_files, "bytes": drawn.bytes, "of_bytes": drawn.of_bytes,
        "documents": report["documents_in"], "text": text, "cpu_seconds": round(sum(trial.seconds.values()), 3),
        "asked_bytes": asked, "on": f"{hardware.nodes:,} x {hardware.cores:,} cores",
    }  # fmt: skip
    work = _Work(trial, settings, hardware, scale)
    return CorpusPlan(
        exact=scale == 1,
        sample=sample,
        steps=tuple(_lines(trial)),
        figures=(*_counts(report, scale), *work.figures()),
        warnings=tuple(work.warnings()),
    )


def _lines(trial: Trial) -> Iterator[StepLine]:
    """A line for each step of the chain, then what is no step."""
    text, left = max(trial.report["bytes_in"], 1) / 1e6, dict(trial.seconds)
    for row in trial.report["funnel"]:
        name = row["step"]
        seconds = left.pop(name, 0.0) / text
        counts = (row["documents_in"], row["documents_out"], row["bytes_in"], row["bytes_out"])
        yield StepLine(name, seconds, *counts, _with_size(name, trial))
    for name, seconds in left.items():
        with_size = "in proportion, one process" if name == BOOKS else "in proportion"
        yield StepLine(name, seconds / text, None, None, None, None, with_size)


def _with_size(name: str, trial: Trial) -> str:
    kind = name.partition(".")[0]
    time = "N log N" if kind in SORTING else "in proportion"
    alone = ", one process" if name in trial.deciding else ""
    rounds = f", {trial.across[name]} more readings of all texts" if name in trial.across else ""
    return f"{time}{alone}{rounds}" + ("; finds a larger share" if kind in GROWING else "")


def _counts(report: dict[str, Any], scale: float) -> Iterator[Figure]:
    """Documents and bytes of text, in and out."""
    exact = scale == 1
    grows = any(row["step"].partition(".")[0] in GROWING for row in report["funnel"])
    bound = "; at most: the share of duplicates rises" if grows else ""
    for name, key, unit, more in (
        ("records read", "records_read", "documents", ""),
        ("documents in", "documents_in", "documents", ""),
        ("documents kept", "documents_kept", "documents", bound),
        ("text in", "bytes_in", "B", ""),
        ("text kept", "bytes_kept", "B", bound),
    ):
        how = "counted" if exact else f"{report[key]:,} of the sample x {scale:,.4g}{more}"
        yield Figure(name, report[key] if exact else report[key] * scale, unit, how)
    yield Figure("share kept", report["bytes_kept"] / max(report["bytes_in"], 1), "", "text kept / text in")


class _Work:
    """Time, memory, disk and cost of `scale` times the sample."""

    def __init__(self, trial: Trial, settings: CorpusSettings, hardware: Hardware, scale: float) -> None:
        self.trial, self.settings, self.hardware, self.scale = trial, settings, hardware, scale
        drawn = trial.drawn
        self.documents = (trial.report["documents_in"] + trial.report["documents_born"]) * scale
        self.text = trial.report["bytes_in"] * scale
        self.alone = {name: s for name, s in trial.seconds.items() if name in trial.deciding or name == BOOKS}
        self.shared = sum(trial.seconds.values()) - sum(self.alone.values())
        self.units = max(1, round(drawn.units * scale * drawn.bytes / drawn.of_bytes))
        self.workers = min(hardware.nodes * hardware.cores, self.units)
        self.longest = self.shared * min(drawn.largest / drawn.bytes, scale)
        """CPU-seconds of the largest unit, which nobody shares."""

    def figures(self) -> Iterator[Figure]:
        """Time and cost, memory, disk."""
        yield from self._time()
        yield from self._memory()
        yield from self._disk()

    def _time(self) -> Iterator[Figure]:
        cpu, alone = self.shared * self.scale, sum(map(self._grown, self.alone))
        together = max(cpu / self.workers, self.longest)
        what = f"{cpu:,.0f} CPU-s / {self.workers:,} workers (cores, or units of work if fewer: {self.units:,})"
        if self.longest > cpu / self.workers:
            what = f"the largest unit of work, {byte_size(self.trial.drawn.largest)}, which one worker reads"
        yield Figure("time together", together, "s", f"{what}; no loss to shared disks or memory counted")
        yield Figure("time alone", alone, "s", f"one process decides: {', '.join(self.alone)}")
        yield Figure("wall time", together + alone, "s", "together + alone")
        if self.hardware.price_per_hour is not None:
            nodes, price = self.hardware.nodes, self.hardware.price_per_hour
            cost = (together + alone) / 3600 * nodes * price
            how = f"{nodes:,} nodes x {(together + alone) / 3600:,.3g} h x {price:g}"
            yield Figure("cost", cost, self.hardware.currency, how)

    def _grown(self, name: str) -> float:
        """CPU-seconds of something that one process does, at the size asked for."""
        seconds, before = self.trial.seconds[name] * self.scale, self.documents / self.scale
        if name.partition(".")[0] in SORTING and before > 1 and self.scale > 1:
            seconds *= math.log(self.documents) / math.log(before)
        return seconds

    def _memory(self) -> Iterator[Figure]:
        trial = self.trial
        held, how = 0, f"{byte_size(trial.memory)} at the sample's peak"
        for name in trial.across:
            flag = getattr(self.settings, name.partition(".")[0]).memory
            held = max(held, part_memory(math.ceil(self.text), flag))
            how += f" + {name}: the larger of its `memory` and a part of its keys"
        longest = max(source.largest_record for source in self.settings.sources)
        how += f"; a record of {byte_size(longest)} (`largest_record`) may take {byte_size(24 * longest)}"
        yield Figure("memory a worker", trial.memory + held, "B", how)
        deciding = trial.memory + DECIDING_BYTES * self.documents
        how = f"the same + {DECIDING_BYTES} B x documents, on one node; signatures that near compares in mapped files"
        yield Figure("memory to decide", deciding, "B", how)

    def _disk(self) -> Iterator[Figure]:
        trial, scale = self.trial, self.scale
        peak = f"{byte_size(trial.working)} at the sample's peak x {scale:,.4g}"
        if any(name.partition(".")[0] == "near" for name in trial.deciding):
            each = 12 * self.settings.near.bands + _SIGNATURE_BYTES
            peak += f"; near needs at most {each} B x documents of it, where all have a neighbour"
        yield Figure("disk while it runs", trial.working * scale, "B", peak)
        yield Figure("disk for the corpus", trial.corpus * scale, "B", "kept, held out, rejected, edits: in proportion")
        yield Figure("disk for another try", trial.measured * scale, "B", "measured documents: in proportion")

    def warnings(self) -> Iterator[str]:
        """What is wrong with the sample, and what stands in the way."""
        yield from self.trial.report.get("warnings", [])
        if self.trial.across and self.documents >= _NUMBERS:
            names = ", ".join(self.trial.across)
            yield f"{names} can tell {_NUMBERS:,} documents apart: run it on parts of the corpus"
        bands = self.settings.near.bands
        if self.trial.deciding & {"near"} and self.documents * bands >= _NUMBERS:
            yield f"near can tell {_NUMBERS // bands:,} documents that have neighbours apart: run it on parts"
        if self.longest > self.shared * self.scale / (self.hardware.nodes * self.hardware.cores):
            yield "there are fewer units of work than cores, or a large one: cut the largest files"
        if self.hardware.nodes > 1:
            yield "several nodes need --engine ray and a folder that all of them see under the same path"
