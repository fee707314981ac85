"""The reports of both stages: counts that add up, per step, rule and domain, with examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilth.base.errors import UserError
from tilth.corpus.running import tally
from tilth.corpus.running.tally import StepTally


def measure_report(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The report of the measure stage, from the counts of its units."""
    steps = tally.join([StepTally.from_json(step) for step in result["steps"]] for result in results)
    total = {
        name: sum(result[name] for result in results)
        for name in ("documents_in", "documents_out", "unreadable", "unreadable_bytes", "bytes_in")
    }
    report = {
        "records_read": total["documents_in"] + total["unreadable"],
        "unreadable": total["unreadable"],
        "unreadable_bytes": total["unreadable_bytes"],
        "documents_in": total["documents_in"],
        "documents_born": sum(step.born for step in steps),
        "documents_out": total["documents_out"],
        "bytes_in": total["bytes_in"],
        "bytes_out": steps[-1].bytes_out if steps else total["bytes_in"],
        "by_domain": _by_domain(result["domains"] for result in results),
        "funnel": [_funnel_entry(step) for step in steps],
    }
    tally.same("measure: documents", report["documents_in"] + report["documents_born"], report["documents_out"])
    return report


def corpus_report(measured: dict[str, Any], passes: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """The report of the whole chain, from the measure stage's report and the counts of each pass's shards."""
    steps = [
        step
        for results in passes
        for step in tally.join([StepTally.from_json(step) for step in result["steps"]] for result in results)
    ]
    domains = _by_domain(result["domains"] for results in passes for result in results)
    _chain_holds(measured, steps)

    def count(name: str) -> int:
        return sum(entry.get(name, 0) for entry in domains.values())

    born = measured["documents_born"] + sum(step.born for step in steps)
    report = {
        "records_read": measured["records_read"],
        "unreadable": measured["unreadable"],
        "documents_in": measured["documents_in"],
        "documents_born": born,
        "documents_kept": count("documents_kept"),
        "documents_holdout": count("documents_holdout"),
        "documents_rejected": count("documents_rejected"),
        "bytes_in": measured["bytes_in"],
        "bytes_kept": count("bytes_kept"),
        "bytes_holdout": count("bytes_holdout"),
        "by_rule": _by_rule(steps),
        "by_domain": _by_domain([measured["by_domain"], domains]),
        "funnel": [*measured["funnel"], *map(_funnel_entry, steps)],
    }
    if "warnings" in measured:
        report["warnings"] = measured["warnings"]
    tally.same("corpus: records", report["records_read"], report["documents_in"] + report["unreadable"])
    out = report["documents_kept"] + report["documents_holdout"] + report["documents_rejected"]
    tally.same("corpus: documents", report["documents_in"] + born, out)
    tally.same("corpus: rejections", report["documents_rejected"], sum(step.rejected for step in steps))
    return report


def with_planted(report: dict[str, Any], entry: StepTally, domain: str) -> dict[str, Any]:
    """The report of a corpus behind whose chain documents of `domain` were planted: they are born, and kept."""
    added = {"documents_born": entry.born, "documents_kept": entry.born, "bytes_kept": entry.bytes_out - entry.bytes_in}
    return {
        **report,
        **{name: report[name] + count for name, count in added.items()},
        "by_domain": _by_domain([report["by_domain"], {domain: added}]),
        "funnel": [*report["funnel"], _funnel_entry(entry)],
    }


def _chain_holds(measured: dict[str, Any], steps: Sequence[StepTally]) -> None:
    """What goes out of a step goes into the next."""
    documents = measured["documents_out"]
    for step in steps:
        tally.same(f"into step {step.name}", step.documents_in, documents)
        documents = step.documents_out


def _by_rule(steps: Sequence[StepTally]) -> dict[str, Any]:
    return {
        f"{step.name}/{name}": {"documents": rule.documents, "bytes": rule.bytes}
        for step in steps
        for name, rule in sorted(step.rules.items())
    }


def _by_domain(parts: Any) -> dict[str, dict[str, int]]:
    total: dict[str, dict[str, int]] = {}
    for part in parts:
        for domain, counts in part.items():
            entry = total.setdefault(domain, {})
            for name, count in counts.items():
                entry[name] = entry.get(name, 0) + count
    return dict(sorted(total.items()))


def _funnel_entry(step: StepTally) -> dict[str, Any]:
    """One step as a reader sees it; zeros that say nothing are left out."""
    entry: dict[str, Any] = {
        "step": step.name,
        "kind": step.kind,
        "documents_in": step.documents_in,
        "documents_out": step.documents_out,
        "bytes_in": step.bytes_in,
        "bytes_out": step.bytes_out,
    }
    extra = {"documents_born": step.born, "documents_edited": step.edited, "documents_holdout": step.labelled}
    entry.update({name: count for name, count in extra.items() if count})
    if step.places:
        entry["edits"] = step.places
    if step.rules:
        entry["rules"] = {
            name: {"documents": rule.documents, "bytes": rule.bytes, "examples": rule.examples}
            for name, rule in sorted(step.rules.items())
        }
    return entry


def check_some_left(report: dict[str, Any], look: str = "") -> None:
    """Raise `UserError` where a corpus keeps no document; `look` is the command that shows them."""
    if report["documents_kept"]:
        return
    counts = {rule: row["documents"] for rule, row in report["by_rule"].items() if row["documents"]}
    most = sorted(counts, key=lambda rule: -counts[rule])[:3]
    by = f"removed by {', '.join(f'{rule} ({counts[rule]:,})' for rule in most)}"
    held = f"{report['documents_holdout']:,} held out"
    why = "; ".join([*([by] if most else []), *([held] if report["documents_holdout"] else [])])
    shown = f"; {look} shows each with its reason" if most and look else ""
    raise UserError(
        f"no document is left of {report['documents_in']:,}: {why}",
        hint=(f"loosen the rule, or leave its step out of the chain{shown}" if most else "give more text"),
    )


def warnings_of(report: dict[str, Any]) -> list[str]:
    """What a person should know of a corpus: of what was read, and of benchmarks that protect nothing."""
    return [*report.get("warnings", []), *idle_benchmarks(report)]


def idle_benchmarks(report: dict[str, Any]) -> list[str]:
    """A sentence for each benchmark file of which no item can be looked for."""
    return [
        f"{name}: none of its {row['items']:,} items can be looked for: they have no text, or all of it is too short"
        for name, row in report.get("contamination", {}).items()
        if len(row["too_short"]) == row["items"]
    ]


def benchmark_rows(report: dict[str, Any]) -> list[tuple[str, int, int, int, int]]:
    """For each benchmark file: its name, items, items too short to look for, items found, documents removed or cut."""
    return [
        (
            name,
            row["items"],
            len(row["too_short"]),
            row["items_found"],
            row.get("documents_removed", row.get("documents_cut", 0)),
        )
        for name, row in report.get("contamination", {}).items()
    ]
