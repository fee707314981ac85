"""Pre-training: the mixture that was asked and seen, losses, rates and norms over all phases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tilth.base.events import read_journal
from tilth.base.files import read_json
from tilth.reports import blocks
from tilth.reports.blocks import Folders, Section
from tilth.reports.curves import Curve, curves_by_group, number, thin

MIXTURE = ("phase", "group", "weight asked", "targets so far", "epochs so far")


def sections(folders: Folders) -> Iterator[Section]:
    """The phases, one behind another."""
    phases = {name.removeprefix("pretrain-"): f for name, f in folders.items() if name.startswith("pretrain-")}
    if not phases:
        return
    series: dict[str, Curve] = {"loss": ([], []), "rate": ([], []), "norm": ([], [])}
    by_group: dict[str, Curve] = {}
    batches: Curve = ([], [])
    marks, done = [], 0
    for name, folder in phases.items():
        marks.append((float(done), name))
        records = list(read_journal(folder / "metrics.jsonl"))
        for record in thin(records):
            named = {"loss": record["loss"], "rate": record["learning_rate"], "norm": record["gradient_norm"]}
            values = {kind: number(value) for kind, value in named.items()}
            for kind, value in values.items():
                _append(series[kind], [done + record["tokens"]], [value])
            if "sequences" in record:
                _append(batches, [done + record["tokens"]], [record["sequences"]])
        for group, (tokens, losses) in curves_by_group(records).items():
            _append(by_group.setdefault(group, ([], [])), [done + at for at in tokens], losses)
        done += records[-1]["tokens"] if records else 0

    def chart(title: str, curves: dict[str, Curve], unit: str) -> blocks.Block:
        return blocks.chart(title, [(n, *curve) for n, curve in curves.items()], "tokens", unit, marks=marks)

    yield blocks.section(
        "Training",
        blocks.table(MIXTURE, list(_mixture(folders)), "Mixture"),
        chart("Loss by group (mean over 2 % of the phase)", by_group, "nats a token"),
        chart("Loss of every step", {"loss": series["loss"]}, "nats a token"),
        chart("Learning rate", {"rate": series["rate"]}, "AdamW rate"),
        chart("Gradient norm", {"norm": series["norm"]}, "global norm"),
        *([chart("Batch ramp", {"batch": batches}, "sequences a step")] if batches[0] else []),
    )


def _append(series: Curve, xs: list[float], ys: list[float]) -> None:
    series[0].extend(xs)
    series[1].extend(ys)


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
