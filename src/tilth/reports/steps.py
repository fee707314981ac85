"""The steps behind pre-training: what they were given, how their losses moved, whether preferences were learnt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tilth.base.events import read_journal
from tilth.base.files import read_json
from tilth.reports import blocks
from tilth.reports.blocks import Folders, Section
from tilth.reports.curves import curves_by_group, number, thin

RENDERED = ("records_read", "examples", "unreadable", "too_long", "cut", "tokens", "trained_tokens")
_PREFERENCES = (
    ("Log-probability against the start, nats an answer", ("chosen_change", "rejected_change"), "nats"),
    ("Pairs with the larger margin, and pairs whose chosen answer fell", ("accuracy", "chosen_fell"), "share"),
)

_OUTCOME = {
    "pairs": "pairs",
    "accuracy": "margin to the chosen",
    "chosen_fell": "chosen less likely",
    "chosen_change": "chosen, nats an answer",
    "rejected_change": "rejected, nats an answer",
}


def sections(folders: Folders) -> Iterator[Section]:
    """A section for each step, in the order of the run."""
    for name, folder in folders.items():
        if (folder / "metrics.jsonl").exists() and not name.startswith("pretrain-"):
            yield blocks.section(f"Step {name}", *_step(name, folder, folders))


def _step(name: str, folder: Path, folders: Folders) -> Iterator[blocks.Block]:
    wanted = _input(folder, "rendered")
    rendered = next((f for f in folders.values() if f.name.endswith(wanted)), None)
    if rendered is None:
        yield blocks.text("Its rendered records are no longer in the run folder.")
        return
    report = read_json(rendered / "report.json")
    template = read_json(rendered / "template.json")["template"]
    yield blocks.text(
        f"{report['records_read']:,} records read = {report['examples']:,} examples + {report['unreadable']:,} "
        f"unreadable + {report['too_long']:,} too long. Chat template: {template}."
    )
    yield blocks.table([key.replace("_", " ") for key in RENDERED], [[report[key] for key in RENDERED]], "Data")
    if report["faults"]:
        items = [{"title": f"{f['file']}:{f['line']} {f['kind']}", "text": f["reason"]} for f in report["faults"]]
        lost = report["unreadable"] + report["too_long"]
        title = f"Records that are not trained on: {len(items)} of {lost:,}; all in {rendered.name}/unreadable.jsonl"
        yield blocks.examples(title, items)
    state = read_json(folder / "state.json")
    if "adapter" in state:
        adapter = state["adapter"]
        yield blocks.text(
            f"Adapter of rank {adapter['adapter']['rank']}; merging it moved a logit by at most "
            f"{adapter['largest_logit_difference']:.3g}."
        )
    records = list(read_journal(folder / "metrics.jsonl"))
    curves = [(group, *series) for group, series in curves_by_group(records).items()]
    yield blocks.chart("Loss by group", curves, "tokens", "nats a token")
    if records and "metrics" in records[0]:
        yield from _preferences(records)
        yield from _outcome(folder, folders)


def _preferences(records: list[dict[str, Any]]) -> Iterator[blocks.Block]:
    kept = thin(records)
    tokens = [float(record["tokens"]) for record in kept]
    for title, names, unit in _PREFERENCES:
        series = [(name.replace("_", " "), tokens, [number(r["metrics"][name]) for r in kept]) for name in names]
        yield blocks.chart(title, series, "tokens", unit)


def _outcome(folder: Path, folders: Folders) -> Iterator[blocks.Block]:
    """What became of every pair, once the step was over."""
    for name, other in folders.items():
        if name.startswith("preferences-") and folder.name.endswith(_input(other, "model")):
            rows = [[row["domain"], *(row[key] for key in _OUTCOME)] for row in read_json(other / "preferences.json")]
            yield blocks.table(["domain", *_OUTCOME.values()], rows, "Every pair behind the step, against its start")


def _input(folder: Path, name: str) -> str:
    """The fingerprint of one of an artifact's inputs."""
    return str(read_json(folder / "artifact.json")["inputs"][name])
