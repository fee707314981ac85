"""What a run will need, written down before it starts and set against what happened in the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.files import read_json, write_json
from tilth.base.progress import duration
from tilth.laws.model_size import Shape, parameters
from tilth.model.adapters.settings import AdapterSettings
from tilth.model.config import DecoderConfig
from tilth.pipeline.execute import is_done
from tilth.pipeline.graph import Graph
from tilth.pipeline.memory import choose_recompute, in_half, training_of
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stages.corpus import source_files
from tilth.pipeline.stages.posttrain import Step, data_files, step_name
from tilth.planning.figures import Figure
from tilth.planning.forecast import (
    PhaseForecast,
    bytes_per_token,
    corpus_seconds,
    forecast_phase,
    matrix_speed,
)
from tilth.planning.sources_size import estimate
from tilth.planning.trainer_memory import Memory
from tilth.posttrain.settings import phase_of
from tilth.training.settings import ComputeSettings, PhaseSettings

_DOCUMENT_BYTES = 500
"""Of a document of the built-in grammars, about."""
_RECORD_BYTES = {"conversations": 110, "preferences": 270}
"""Of running text with as many tokens as a rendered record, about: both answers of a preference with their prompt."""


@dataclass(frozen=True)
class Forecast:
    """Documents, tokens, memory and time of a run."""

    documents: int
    bytes: int
    tokens: int
    counted: bool
    """Whether documents and tokens were counted (their stages are there) or estimated from a look at the sources."""
    corpus_seconds: float
    parameters: int | None
    phases: list[PhaseForecast]
    done: frozenset[str] = frozenset()
    """Stages of training that are there already: their time is not forecast."""
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        known = {name: value for name, value in vars(self).items() if name not in ("done", "warnings")}
        return {**known, "phases": [phase.as_json() for phase in self.phases], "warnings": list(self.warnings)}

    def as_text(self) -> str:
        """For people."""
        kind = "counted" if self.counted else "estimated from a look at the sources"
        lines = [
            f"text       {self.documents:,} documents, {self.bytes / 1e6:,.1f} MB, {self.tokens:,} tokens ({kind})",
            f"corpus     about {duration(self.corpus_seconds)}",
        ]
        if self.parameters is not None:
            lines.append(f"model      {self.parameters:,} parameters")
        for phase in self.phases:
            lines.append(
                f"train      {phase.name}: {phase.tokens:,} tokens, {phase.flops:.3g} FLOP, {self._time(phase)}, "
                f"{phase.memory.total / 2**30:.2f} GiB{_batches(phase)}"
            )
            if phase.recompute_because is not None:
                lines.append(f"           {phase.name}: recompute {phase.recompute}: {phase.recompute_because}")
        return "\n".join([*lines, *(f"warning    {warning}" for warning in self.warnings)])

    def _time(self, phase: PhaseForecast) -> str:
        if phase.name in self.done:
            return "done"
        return "time unknown (no torch here)" if phase.seconds is None else f"about {duration(phase.seconds)}"


def _batches(phase: PhaseForecast) -> str:
    """`, batches of 8, 16, 32 sequences`, where there is a ramp."""
    return f", batches of {', '.join(map(str, phase.batches))} sequences" if len(phase.batches) > 1 else ""


def keep_forecast(path: Path, told: Forecast, *, anew: bool) -> None:
    """Write the forecast down; of the same recipe, what was forecast before a phase began stays."""
    record = told.as_json()
    if path.exists() and not anew:
        before = {phase["name"]: phase for phase in read_json(path)["phases"]}
        record["phases"] = [
            before[p["name"]] if before.get(p["name"], {}).get("seconds") is not None else p for p in record["phases"]
        ]
    write_json(path, record)


def forecast(recipe: Recipe, base: Path, run_folder: Path, graph: Graph) -> Forecast:
    """Counted where stages are there, else estimated."""
    documents, size, tokens, counted = _text(recipe, base, run_folder, graph)
    shape = shape_of_recipe(recipe)
    sequences = {step.name: _sequences(step, recipe, base, run_folder, graph) for step in recipe.posttrain}
    planned = {f"pretrain-{phase.name}": phase for phase in recipe.pretrain}
    planned |= {step_name(step): phase_of(step, sequences[step.name]) for step in recipe.posttrain}
    done = frozenset(name for name in planned if _is_there(name, run_folder, graph))
    threads = recipe.compute.threads or 1
    halves = {name: in_half(phase, recipe.compute) for name, phase in planned.items()}
    speeds = {half: matrix_speed(half, threads) for half in {halves[name] for name in planned if name not in done}}
    adapters = {step_name(step): step.adapter for step in recipe.posttrain}
    phases = [
        _phase(name, phase, shape, speeds.get(halves[name]), recipe.compute, adapters.get(name))
        for name, phase in planned.items()
    ]
    workers = recipe.compute.data_workers.processes
    count = parameters(shape) if planned else None
    warnings = tuple(_warnings(recipe, tokens, phases))
    return Forecast(documents, size, tokens, counted, corpus_seconds(size, workers), count, phases, done, warnings)


def _sequences(step: Step, recipe: Recipe, base: Path, run_folder: Path, graph: Graph) -> dict[str, int]:
    """Sequences of a step's data by group: counted where they are packed, else all in one, from the files' sizes."""
    packed = graph.named(f"pack-{step.name}")
    if packed is not None and is_done(run_folder, packed):
        groups = read_json(run_folder / packed.folder / "groups.json")
        return {name: row["sequences"] for name, row in groups.items()}
    size = estimate([(file.path, file.format, file.size) for file in data_files(step, base)])[1]
    size += sum(data.count * _RECORD_BYTES[data.generate] for data in step.data if data.generate)
    tokens = size / bytes_per_token(_vocabulary(recipe))
    return {step.name: max(1, round(tokens / step.sequence_length))}


def _is_there(name: str, run_folder: Path, graph: Graph) -> bool:
    stage = graph.named(name)
    return stage is not None and is_done(run_folder, stage)


def _warnings(recipe: Recipe, tokens: int, phases: list[PhaseForecast]) -> Iterator[str]:
    """What the figures say will not work."""
    here = machine.memory_bytes()
    largest = max((phase.memory.total for phase in phases), default=0)
    if largest > here:
        most = max(phases, key=lambda phase: phase.memory.total).recompute == "full"
        advice = "" if most else "; compute.recompute: full takes less memory, and longer"
        yield f"{largest / 2**30:,.1f} GiB are more than this machine's {here / 2**30:,.1f}{advice}"
    asked = sum(phase.batches.tokens for phase in recipe.pretrain)
    allowed = max((phase.max_epochs for phase in recipe.pretrain), default=0)
    if tokens and asked > allowed * tokens:
        yield (
            f"pretrain asks for {asked / tokens:.1f} epochs of the text, more than max_epochs ({allowed:g}) allows: "
            "it will be refused"
        )


def _text(recipe: Recipe, base: Path, run_folder: Path, graph: Graph) -> tuple[int, int, int, bool]:
    tokens = graph.named("tokens")
    if tokens is not None and is_done(run_folder, tokens):
        counts = read_json(run_folder / tokens.folder / "summary.json")["train"]
        return counts["documents"], counts["bytes"], counts["tokens"], True
    files = source_files(recipe.corpus, base)
    documents, size = estimate([(file.path, file.format, file.size) for file in files])
    written = sum(grammar.documents for grammar in recipe.synthesize)
    documents, size = documents + written, size + written * _DOCUMENT_BYTES
    return documents, size, round(size / bytes_per_token(_vocabulary(recipe))), False


def _phase(
    name: str,
    phase: PhaseSettings,
    shape: Shape,
    speed: float | None,
    compute: ComputeSettings,
    adapter: AdapterSettings | None = None,
) -> PhaseForecast:
    training = training_of(phase, compute, adapter)
    chosen = choose_recompute(shape, phase, compute, adapter) if compute.recompute == "auto" else None
    if chosen is not None:
        training = replace(training, recompute=chosen.recompute)
    return forecast_phase(
        name,
        shape,
        tokens=phase.batches.tokens,
        length=phase.sequence_length,
        training=training,
        flops_per_second=speed,
        batches=[stretch.sequences for stretch in phase.batches.stretches],
        recompute_because=chosen.reason if chosen else None,
    )


def shape_of_recipe(recipe: Recipe) -> Shape:
    """Of the recipe's model, or of the one that it continues."""
    return _config(recipe).shape


def length_of_recipe(recipe: Recipe) -> int | None:
    """Tokens of the longest sequences that it pre-trains on; None where it does not."""
    return max((phase.sequence_length for phase in recipe.pretrain), default=None)


def _config(recipe: Recipe) -> DecoderConfig:
    if recipe.base is not None:
        from tilth.model import read_config

        return read_config(recipe.base)
    return recipe.model.config(_vocabulary(recipe))


def _vocabulary(recipe: Recipe) -> int:
    """Pieces of the tokenizer that is loaded, else as many as are asked."""
    if recipe.tokenizer.load is None:
        return recipe.tokenizer.vocabulary
    from tilth.tokens.tokenizer import Tokenizer

    return Tokenizer.load(recipe.tokenizer.load).vocabulary_size


def phase_figures(recipe: Recipe) -> list[Figure]:
    """FLOPs and bytes of memory of pre-training a recipe's model, phase by phase, each at its own length."""
    shape = shape_of_recipe(recipe)
    figures = []
    for phase in recipe.pretrain:
        told = _phase(phase.name, phase, shape, None, recipe.compute)
        flops = f"{told.tokens:,} tokens x {told.flops / told.tokens:,.0f} at T = {phase.sequence_length:,}"
        parts = {part: size for part, size in vars(told.memory).items() if part != "moment"}
        counted = "6 x matmul parameters with head + 6 L d T a token"
        figures.append(Figure(f"{phase.name}: FLOP", told.flops, "FLOP", flops, counted))
        held = _parts_said(parameters(shape), told.memory)
        figures += [Figure(f"{phase.name}: {part}", size, "B", *held[part]) for part, size in parts.items()]
        figures.append(Figure(f"{phase.name}: memory in all", told.memory.total, "B", " + ".join(parts), TRAINER))
    return figures


TRAINER = "own sum of what the trainer allocates: planning/trainer_memory.py"


def _parts_said(count: int, memory: Memory) -> dict[str, tuple[str, str]]:
    """Formula and source of what holds memory; Muon keeps one moment of the layers' matrices, not two."""
    alone = round((8 * count - memory.optimizer) / 4)
    moments = f"8 x {count:,}" + (f" - 4 x {alone:,} of the layers' matrices" if alone else "")
    peak = f"at the peak: {memory.moment}"
    return {
        "parameters": (f"4 x {count:,}", f"fp32; {TRAINER}"),
        "gradients": (f"4 x {count:,}", f"fp32; {TRAINER}"),
        "optimizer": (moments, f"fp32 moments, two of a number and one of Muon's matrices; {TRAINER}"),
        "activations": (f"tensors kept for the backward pass {peak}", TRAINER),
        "working": (f"what is worked in {peak}", TRAINER),
        "process": ("interpreter, torch and the compiler's libraries", f"measured; {TRAINER}"),
    }
