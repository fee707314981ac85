"""What the models of a run can do, side by side: held-out text, tasks, samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilth.base.files import read_json
from tilth.reports import blocks

STAGE = "evaluate-"
"""In front of the names of evaluations' stages: the rest is the model's name."""


@dataclass(frozen=True)
class Evaluation:
    """Of one model."""

    model: str
    domains: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Bits per byte of held-out text, by domain."""
    context: int = 0
    tasks: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, str]] = field(default_factory=list)
    canaries: dict[str, Any] = field(default_factory=dict)
    """Planted secrets that it gives away."""

    @property
    def forms(self) -> list[str]:
        """How questions were put to the model."""
        return list(dict.fromkeys(row["form"] for row in self.tasks))


def read_evaluations(folders: dict[str, Path]) -> list[Evaluation]:
    """The evaluations of a run, the models in the order in which they were trained."""
    return [_read(name.removeprefix(STAGE), folders[name]) for name in folders if name.startswith(STAGE)]


def _read(model: str, folder: Path) -> Evaluation:
    def read(name: str, default: Any) -> Any:
        return read_json(folder / name) if (folder / name).exists() else default

    bits = read("bits_per_byte.json", {"domains": {}, "context": 0})
    tasks, samples = read("tasks.json", []), read("samples.json", [])
    return Evaluation(model, bits["domains"], bits["context"], tasks, samples, read("canaries.json", {}))


def sections(evaluations: list[Evaluation]) -> Iterator[dict[str, Any]]:
    """The report's part on what the models can do."""
    if any(evaluation.domains for evaluation in evaluations):
        yield blocks.section("Held-out text", *_held_out(evaluations))
    if any(evaluation.tasks for evaluation in evaluations):
        yield blocks.section(
            "Tasks",
            blocks.text(
                "Share of right answers with its 95 % interval (Wilson). A base model is asked in the shape of its "
                "training text, alone (native) and behind solved examples (few-shot); the others by the chat template."
            ),
            *(blocks.table(*table) for table in task_tables(evaluations)),
        )
    if any(evaluation.canaries for evaluation in evaluations):
        yield blocks.section("Planted secrets", *_planted(evaluations))
    for evaluation in reversed(evaluations):
        if evaluation.samples:
            yield blocks.section(f"Samples of {evaluation.model}", blocks.samples(evaluation.samples))


def _held_out(evaluations: list[Evaluation]) -> Iterator[blocks.Block]:
    first = evaluations[0]
    context = first.context
    yield blocks.text(f"Pieces of {context} tokens; lower is better.")
    rows = [
        [n, r["documents"], r["bytes"], r["tokens"], r["loss"], r["bits_per_byte"]] for n, r in first.domains.items()
    ]
    yield blocks.table(["domain", "documents", "bytes", "tokens", "nats a token", "bits per byte"], rows)
    if len(evaluations) > 1:
        yield blocks.table(*forgetting_table(evaluations))


def _planted(evaluations: list[Evaluation]) -> Iterator[blocks.Block]:
    most = math.log2(evaluations[0].canaries["others"] + 1)
    yield blocks.text(
        "Secrets invented and planted in the training text (canaries): how many the model says when it is given the "
        "words before them, and their exposure, the bits by which they are likelier to it than other secrets of their "
        f"kind (at most {most:.0f}; about 1.4 for a model that never saw them)."
    )
    rows = [
        [evaluation.model, row["repeats"], row["canaries"], row["extracted"], row["exposure"]]
        for evaluation in evaluations
        for row in evaluation.canaries.get("by_repeats", [])
    ]
    yield blocks.table(["model", "times an epoch", "canaries", "extracted", "exposure, bits"], rows)


def forgetting_table(evaluations: list[Evaluation]) -> tuple[list[str], list[list[Any]], str]:
    """Columns, rows and title: bits per byte of every model, and the change against the first."""
    first, *others = evaluations
    columns = ["domain", first.model]
    for other in others:
        columns += [other.model, "change"]
    rows: list[list[Any]] = []
    for name, row in first.domains.items():
        before = row["bits_per_byte"]
        cells: list[Any] = [name, before]
        for other in others:
            after = other.domains.get(name, {}).get("bits_per_byte")
            cells += [after, None if after is None else f"{100 * (after / before - 1):+.1f} %"]
        rows.append(cells)
    return columns, rows, "Forgetting: bits per byte behind each step"


def task_tables(evaluations: list[Evaluation]) -> Iterator[tuple[list[str], list[list[Any]], str]]:
    """Columns, rows and title of a table for each language: families down, models across."""
    found = {
        (row["language"], (row["task"], row["family"]), evaluation.model, row["form"]): row
        for evaluation in evaluations
        for row in evaluation.tasks
    }
    across = [(evaluation.model, form) for evaluation in evaluations for form in evaluation.forms]
    columns = ["family", "items", *(f"{model}, {form}" if form != "chat" else model for model, form in across)]
    for language in dict.fromkeys(key[0] for key in found):
        families = list(dict.fromkeys(key[1] for key in found if key[0] == language))
        rows = [_task_row(family, [found.get((language, family, *at)) for at in across]) for family in families]
        means = [_mean([found.get((language, family, *at)) for family in families]) for at in across]
        yield columns, [*rows, ["mean of the families", None, *means]], f"Right answers: {language or 'all'}"
        worked = [_worked_row(family, [found.get((language, family, *at)) for at in across]) for family in families]
        if any(worked):
            yield columns, [row for row in worked if row], f"Worked answers: {language or 'all'}"


def _task_row(family: tuple[str, str], cells: list[dict[str, Any] | None]) -> list[Any]:
    items = next(cell["items"] for cell in cells if cell)
    shown = [c and f"{100 * c['accuracy']:.1f} ({100 * c['low']:.0f}-{100 * c['high']:.0f})" for c in cells]
    return [": ".join(family), items, *shown]


def _worked_row(family: tuple[str, str], cells: list[dict[str, Any] | None]) -> list[Any]:
    if not any(cell and "worked" in cell for cell in cells):
        return []
    items = next(cell["items"] for cell in cells if cell)
    return [": ".join(family), items, *(c and f"{100 * c['worked']:.1f}" for c in cells)]


def _mean(cells: list[dict[str, Any] | None]) -> str | None:
    accuracies = [cell["accuracy"] for cell in cells if cell]
    return f"{100 * sum(accuracies) / len(accuracies):.1f}" if accuracies else None
