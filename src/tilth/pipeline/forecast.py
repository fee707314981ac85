"""What a run will need, written down before it starts and set against what happened in the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.files import read_json
from tilth.base.progress import duration
from tilth.laws.model_size import Shape, parameters
from tilth.model.config import DecoderConfig
from tilth.pipeline.execute import is_done
from tilth.pipeline.graph import Graph
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stages.corpus import source_files
from tilth.planning.forecast import (
    PhaseForecast,
    bytes_per_token,
    corpus_seconds,
    forecast_phase,
    matrix_speed,
)
from tilth.planning.sources_size import estimate
from tilth.training.settings import PhaseSettings


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

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "phases": [phase.as_json() for phase in self.phases]}

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
            time = "time unknown (no torch here)" if phase.seconds is None else f"about {duration(phase.seconds)}"
            lines.append(
                f"pretrain   {phase.name}: {phase.tokens:,} tokens, {phase.flops:.3g} FLOP, {time}, "
                f"{phase.memory.total / 2**30:.2f} GiB"
            )
        return "\n".join(lines)


def forecast(recipe: Recipe, base: Path, run_folder: Path, graph: Graph) -> Forecast:
    """Counted where stages are there, else estimated."""
    documents, size, tokens, counted = _text(recipe, base, run_folder, graph)
    shape = _shape(recipe)
    threads = recipe.compute.threads or 1
    speeds = {half: matrix_speed(half, threads) for half in {_half(p) for p in _open_phases(recipe, run_folder, graph)}}
    phases = [_phase(phase, shape, speeds.get(_half(phase))) for phase in recipe.pretrain]
    workers = recipe.compute.data_workers
    count = parameters(shape) if recipe.pretrain else None
    return Forecast(documents, size, tokens, counted, corpus_seconds(size, workers), count, phases)


def _text(recipe: Recipe, base: Path, run_folder: Path, graph: Graph) -> tuple[int, int, int, bool]:
    tokens = graph.named("tokens")
    if tokens is not None and is_done(run_folder, tokens):
        counts = read_json(run_folder / tokens.folder / "summary.json")["train"]
        return counts["documents"], counts["bytes"], counts["tokens"], True
    files = source_files(recipe.corpus, base)
    documents, size = estimate([(file.path, file.format, file.size) for file in files])
    written = sum(grammar.documents for grammar in recipe.synthesize)
    documents, size = documents + written, size + written * 500
    return documents, size, round(size / bytes_per_token(_vocabulary(recipe))), False


def _open_phases(recipe: Recipe, run_folder: Path, graph: Graph) -> list[PhaseSettings]:
    """Phases that are not done yet."""
    stages = {phase.name: graph.named(f"pretrain-{phase.name}") for phase in recipe.pretrain}
    return [p for p in recipe.pretrain if (stage := stages[p.name]) is None or not is_done(run_folder, stage)]


def _phase(phase: PhaseSettings, shape: Shape, speed: float | None) -> PhaseForecast:
    return forecast_phase(
        phase.name,
        shape,
        tokens=phase.steps * phase.step_tokens,
        length=phase.sequence_length,
        micro_batch=min(phase.micro_batch_sequences, phase.sequences),
        optimizer_bytes=4.0 if phase.optimizer.kind == "muon" else 8.0,
        half=_half(phase),
        flops_per_second=speed,
    )


def _half(phase: PhaseSettings) -> bool:
    """Whether the phase multiplies in bf16 on this processor."""
    return phase.precision == "bf16" or (phase.precision == "auto" and machine.fast_bf16())


def _shape(recipe: Recipe) -> Shape:
    return _config(recipe).shape


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


def size_of(recipe: Recipe) -> dict[str, float]:
    """Parameters, FLOPs a token and bytes of memory of a recipe's model, phase by phase."""
    shape = _shape(recipe)
    facts: dict[str, float] = {"parameters": parameters(shape)}
    for phase in (_phase(phase, shape, None) for phase in recipe.pretrain):
        facts[f"{phase.name}: FLOP"] = phase.flops
        facts |= {f"{phase.name}: bytes of {part}": size for part, size in vars(phase.memory).items()}
        facts[f"{phase.name}: bytes in all"] = phase.memory.total
    return facts
