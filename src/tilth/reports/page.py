"""A run as one page: what came in, what was left, what was learnt, and what was forecast. Opens offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError
from tilth.base.events import read_journal
from tilth.base.files import read_json, write_text
from tilth.base.progress import duration
from tilth.reports import blocks, evaluation, steps
from tilth.reports.blocks import Block
from tilth.reports.curves import curves_by_group, number, thin

MIXTURE = ("phase", "group", "weight asked", "targets so far", "epochs so far")

Section = dict[str, Any]
Folders = dict[str, Path]


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
    folders = {name: run_folder / folder for name, folder in outcome["stages"].items()}
    forecast = _json(run_folder / "forecast.json")
    sections = [
        *_corpus(folders),
        *_tokenizer(folders),
        *_training(folders),
        *steps.sections(folders),
        *evaluation.sections(evaluation.read_evaluations(folders)),
        _forecast(forecast, outcome["measured"], folders),
        _repeat(run_folder, folders),
    ]
    page = _render(
        name=run_folder.resolve().name,
        summary=_summary(outcome["measured"]),
        cards=list(_cards(folders, outcome["measured"])),
        sections=sections,
    )
    write_text(run_folder / "report.html", page)
    return run_folder / "report.html"


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


def _corpus(folders: Folders) -> Iterator[Section]:
    if "corpus" not in folders:
        return
    report = read_json(folders["corpus"] / "report.json")
    funnel = [
        [
            s["step"],
            s["kind"],
            s["documents_in"],
            s["documents_out"],
            _megabytes(s["bytes_in"]),
            _megabytes(s["bytes_out"]),
        ]
        for s in report["funnel"]
    ]
    domains = [
        [
            name or "(none)",
            row.get("documents_in", 0),
            row.get("documents_kept", 0),
            row.get("documents_holdout", 0),
            row.get("documents_rejected", 0),
            _megabytes(row.get("bytes_kept", 0)),
        ]
        for name, row in report["by_domain"].items()
    ]
    rules = [
        [name, row["documents"], _megabytes(row["bytes"])]
        for name, row in sorted(report["by_rule"].items(), key=lambda item: -item[1]["documents"])
    ]
    law = (
        f"{report['records_read']:,} records read = {report['documents_in']:,} documents + "
        f"{report['unreadable']:,} unreadable; "
        f"{report['documents_in']:,} documents + {report['documents_born']:,} born = "
        f"{report['documents_kept']:,} kept + {report['documents_holdout']:,} held out + "
        f"{report['documents_rejected']:,} rejected."
    )
    yield blocks.section(
        "Corpus",
        blocks.text(law),
        blocks.table(["step", "kind", "documents in", "out", "MB in", "MB out"], funnel, "The way through the chain"),
        blocks.table(["domain", "documents", "kept", "held out", "rejected", "MB kept"], domains, "By domain"),
        blocks.table(["rule", "documents rejected", "MB"], rules, "By rule"),
        *_rejected_examples(report),
    )


def _rejected_examples(report: dict[str, Any]) -> Iterator[Block]:
    items = []
    for step in report["funnel"]:
        for rule, row in step.get("rules", {}).items():
            for example in row["examples"]:
                measured = f"{blocks.cell(example.get('value'))} against {blocks.cell(example.get('threshold'))}"
                partner = f", kept instead: {example['partner']}" if example.get("partner") else ""
                title = f"{step['step']} · {rule} · {example.get('id', '')}: {measured}{partner}"
                items.append({"title": title, "text": str(example.get("excerpt", ""))})
    if items:
        yield blocks.examples("Rejected: examples", items)


def _tokenizer(folders: Folders) -> Iterator[Section]:
    if "tokenizer" not in folders:
        return
    quality = read_json(folders["tokenizer"] / "quality.json")
    rows = [
        [r["domain"], r["documents"], r["bytes"], r["tokens"], r["bytes_per_token"], r["characters_per_token"]]
        for r in quality["compression"]
    ]
    yield blocks.section(
        "Tokenizer",
        blocks.text(f"Lossless on {quality['lossless_texts']:,} texts of the hold-out and hostile ones."),
        blocks.table(["domain", "documents", "bytes", "tokens", "bytes a token", "characters a token"], rows),
    )


def _training(folders: Folders) -> Iterator[Section]:
    phases = {name: folder for name, folder in folders.items() if name.startswith("pretrain-")}
    if not phases:
        return
    curves: dict[str, tuple[list[float], list[float]]] = {}
    total: tuple[list[float], list[float]] = ([], [])
    rates: tuple[list[float], list[float]] = ([], [])
    norms: tuple[list[float], list[float]] = ([], [])
    marks, done = [], 0
    for name, folder in phases.items():
        marks.append((float(done), name.removeprefix("pretrain-")))
        records = list(read_journal(folder / "metrics.jsonl"))
        for record in thin(records):
            at = done + record["tokens"]
            total[0].append(at)
            total[1].append(number(record["loss"]))
            rates[0].append(at)
            rates[1].append(record["learning_rate"] if "learning_rate" in record else record["rate"])
            norms[0].append(at)
            norms[1].append(number(record["gradient_norm"]))
        for group, series in curves_by_group(records).items():
            xs, ys = curves.setdefault(group, ([], []))
            xs += [done + x for x in series[0]]
            ys += series[1]
        done += records[-1]["tokens"] if records else 0
    yield blocks.section(
        "Training",
        blocks.table(MIXTURE, list(_mixture(folders)), "Mixture"),
        blocks.chart("Loss by group (mean over 2 % of the phase)", [(n, *c) for n, c in curves.items()], "tokens",
                     "nats a token", marks=marks),
        blocks.chart("Loss of every step", [("loss", *total)], "tokens", "nats a token", marks=marks),
        blocks.chart("Learning rate", [("rate", *rates)], "tokens", "AdamW rate", marks=marks),
        blocks.chart("Gradient norm", [("norm", *norms)], "tokens", "global norm", marks=marks),
    )  # fmt: skip


def _mixture(folders: Folders) -> Iterator[list[Any]]:
    """Phase, group, share asked, targets seen up to the end of the phase, epochs of the group that this is."""
    for name, folder in folders.items():
        if not name.startswith("pretrain-"):
            continue
        state = read_json(folder / "state.json")
        artifact = read_json(folder / "artifact.json")
        packs = [f for n, f in folders.items() if f.name.endswith(artifact["inputs"]["pack"]) and n.startswith("pack-")]
        groups = read_json(packs[0] / "groups.json") if packs else {}
        weights = state["phase"]["mixture"] or {group: row["sequences"] for group, row in groups.items()}
        total = sum(weights.values())
        for group, weight in sorted(weights.items()):
            seen = state["seen"].get(group, 0)
            pairs = groups.get(group, {}).get("pairs", 0)
            yield [name.removeprefix("pretrain-"), group, weight / total, seen, seen / pairs if pairs else None]


def _forecast(forecast: dict[str, Any], measured: dict[str, Any], folders: Folders) -> Section:
    rows: list[list[Any]] = []
    if "tokens" in folders and forecast:
        actual = read_json(folders["tokens"] / "summary.json")["train"]
        rows += [[f"{key} for training", forecast[key], actual[key]] for key in ("documents", "bytes", "tokens")]
    for phase in forecast.get("phases", []):
        figures = measured.get(f"pretrain-{phase['name']}")
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


def _megabytes(size: float) -> float:
    return round(size / 1e6, 3)
