"""A run as one page: what came in, what was left, what was learnt, and what was forecast. Opens offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.base.files import read_json, write_text
from tilth.base.progress import duration
from tilth.reports import blocks, corpus, evaluation, steps, training
from tilth.reports.blocks import Folders, Section
from tilth.reports.curves import number


def write_report(run_folder: Path) -> Path:
    """Write `report.html` of a run from its artifacts; returns its path."""
    outcome_file = run_folder / "outcome.json"
    if not (run_folder / "recipe.yaml").exists():
        raise UserError(
            "there is no run here (no recipe.yaml)", where=str(run_folder), hint="give a folder below runs/"
        )
    if not outcome_file.exists():
        raise UserError("this run has not ended yet (no outcome.json)", where=str(run_folder), hint="tilth run RECIPE")
    try:
        outcome = read_json(outcome_file)
    except ValueError as error:
        again = "run the recipe again: finished stages are kept"
        raise UserError(f"not readable: {error}", where=str(outcome_file), hint=again) from None
    try:
        page = _page(run_folder, outcome)
    except KeyError as error:
        again = "run the recipe again: what has changed is made anew"
        said = f"an artifact has no {error}: another version made it"
        raise UserError(said, where=str(run_folder), hint=again) from None
    write_text(run_folder / "report.html", page)
    return run_folder / "report.html"


def _page(run_folder: Path, outcome: dict[str, Any]) -> str:
    folders = {name: run_folder / folder for name, folder in outcome["stages"].items()}
    forecast = _json(run_folder / "forecast.json")
    sections = [
        *corpus.sections(folders),
        *training.sections(folders),
        *steps.sections(folders),
        *evaluation.sections(evaluation.read_evaluations(folders)),
        _forecast(forecast, outcome["measured"], folders),
        _repeat(run_folder, folders),
    ]
    return _render(
        name=run_folder.resolve().name,
        summary=_summary(outcome["measured"]),
        cards=list(_cards(folders, outcome["measured"])),
        sections=sections,
    )


def _render(**values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader("tilth.reports", "."), autoescape=True)
    return environment.get_template("page.html.jinja").render(**values)


def _json(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}


def _summary(measured: dict[str, Any]) -> str:
    wall = sum(figures["wall_seconds"] for figures in measured.values())
    machines = sorted({f"{m['machine']['processor']}, {m['machine']['cores']} cores" for m in measured.values()})
    return f"{len(measured)} stages, {duration(wall)} in all, on {'; '.join(machines)}."


def _cards(folders: Folders, measured: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "corpus" in folders:
        report = read_json(folders["corpus"] / "report.json")
        yield "documents read", f"{report['documents_in']:,}"
        yield "documents kept", f"{report['documents_kept']:,}"
    phases = [folder for name, folder in folders.items() if name.startswith("pretrain-")]
    if phases:
        tokens = sum(read_json(folder / "state.json")["tokens"] for folder in phases)
        yield "tokens trained", f"{tokens:,}"
        last = list(read_journal(phases[-1] / "metrics.jsonl"))[-1]
        yield "last loss", f"{number(last['loss']):.3f}"
    tested = evaluation.read_evaluations(folders)
    if tested and (scores := tested[-1].domains):
        nats = sum(row["bits_per_byte"] * row["bytes"] for row in scores.values())
        yield "bits per byte", f"{nats / sum(row['bytes'] for row in scores.values()):.3f}"
    peak = max(figures["peak_memory_bytes"] for figures in measured.values())
    yield "peak memory", f"{peak / 2**30:.2f} GiB"


def _forecast(forecast: dict[str, Any], measured: dict[str, Any], folders: Folders) -> Section:
    rows: list[list[Any]] = []
    if "tokens" in folders and forecast:
        actual = read_json(folders["tokens"] / "summary.json")["train"]
        rows += [[f"{key} for training", forecast[key], actual[key]] for key in ("documents", "bytes", "tokens")]
    for phase in forecast.get("phases", []):
        figures = measured.get(phase["name"])
        if figures is None:
            continue
        rows.append([f"seconds of {phase['name']}", phase["seconds"], figures["wall_seconds"]])
        memory = (phase["memory"]["total"] / 2**30, figures["peak_memory_bytes"] / 2**30)
        rows.append([f"peak memory of {phase['name']}, GiB", *memory])
    stages = [
        [name, m["wall_seconds"], m["cpu_seconds"], m["peak_memory_bytes"] / 2**30, m["load_before"], m["resumed"]]
        for name, m in measured.items()
    ]
    return blocks.section(
        "Forecast and outcome",
        blocks.table(["", "forecast", "outcome"], rows),
        blocks.table(["stage", "wall s", "CPU s", "peak GiB", "load before", "resumed"], stages, "Stages"),
        blocks.text("Times of stages that were kept are those of the run that made them."),
    )


def _repeat(run_folder: Path, folders: Folders) -> Section:
    recipe = run_folder / "recipe.yaml"
    rows = [[name, folder.name.rsplit("-", 1)[-1]] for name, folder in folders.items()]
    return blocks.section(
        "Recipe",
        blocks.code("The recipe as it was run, defaults filled in", recipe.read_text(encoding="utf-8")),
        blocks.table(["stage", "fingerprint"], rows, "Artifacts"),
    )
