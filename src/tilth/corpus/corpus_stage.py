"""The second stage: measured documents in, corpus out. Decisions read columns; texts are read once to be written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base.files import atomic_file, read_json, remove, write_json, write_text
from tilth.base.pool import Workers, map_units
from tilth.base.progress import Progress
from tilth.corpus.card import data_card
from tilth.corpus.chain import Chain, Segment, build_chain
from tilth.corpus.decontamination.step import CutItemsStep, DecontaminateStep
from tilth.corpus.privacy.canaries import plant
from tilth.corpus.report import corpus_report, with_planted
from tilth.corpus.running.across import look_across
from tilth.corpus.running.clock import BOOKS, spent
from tilth.corpus.running.shards import count_rows, shard_paths
from tilth.corpus.running.tasks import Decisions, Pass, ShardTask
from tilth.corpus.running.view import ShardView
from tilth.corpus.running.work import CARD, Scratch, batchwise, claim
from tilth.corpus.running.writing import write_shard
from tilth.corpus.settings import CorpusSettings
from tilth.corpus.sources import InputFile
from tilth.corpus.steps import ColumnDecision, Label, Rejections

VERSION = 3


@batchwise()
def corpus_stage(
    settings: CorpusSettings,
    measure_dir: Path,
    out_dir: Path,
    work_dir: Path,
    workers: Workers | int = 1,
    benchmarks: Sequence[InputFile] = (),
) -> dict[str, Any]:
    """Run the chain from its first decision on; returns the report.

    Writes `documents/`, `holdout/`, `rejected/`, `edits/`, `report.json` and `card.md` below `out_dir`, one shard for
    each shard of `measure_dir`. The result is the same to the byte for any number of workers, killed or not, and is
    there where no document is left too: why they went is in it. Raises `tally.Lost` (our fault) if a document is not
    accounted for.
    """
    measured = read_json(measure_dir / "report.json")
    stamps = [[file.name, file.size, file.modified] for file in benchmarks]
    claim(
        work_dir,
        out_dir,
        {"corpus": VERSION, "settings": settings.canonical(), "measured": measured, "benchmarks": stamps},
    )
    chain = build_chain(settings, benchmarks)
    shards = shard_paths(measure_dir / "documents")
    last = len(chain.segments) - 1
    passes = [Pass(settings, tuple(benchmarks), i, i == last, out_dir, work_dir) for i in range(last + 1)]
    results: list[list[dict[str, Any]]] = []
    for pass_ in passes:
        results.append(_run_pass(pass_, chain.segments[pass_.number], shards, workers))
        shards = [pass_.survivors / path.name for path in shards]
        if pass_.number:
            remove(passes[pass_.number - 1].survivors)
    with spent(BOOKS):
        return _conclude(settings, chain, measured, results, measure_dir, out_dir)


def _conclude(
    settings: CorpusSettings,
    chain: Chain,
    measured: dict[str, Any],
    results: list[list[dict[str, Any]]],
    measure_dir: Path,
    out_dir: Path,
) -> dict[str, Any]:
    """What stands behind the last pass: the edits of the first stage, canaries, and the reports."""
    _copy_edits(measure_dir, out_dir)
    report = corpus_report(measured, results)
    if settings.canaries.count and report["documents_kept"]:
        report = with_planted(report, *plant(settings.canaries, chain.steps, report, out_dir))
    findings = [finding for result in results for shard in result for finding in shard["findings"]]
    for step in chain.steps:
        if isinstance(step, DecontaminateStep | CutItemsStep):
            report["contamination"] = step.search.summary(findings)
            _write_lines(out_dir / "contamination.jsonl", findings)
    write_json(out_dir / "report.json", report)
    write_text(out_dir / CARD, data_card(report, out_dir / "documents"))
    return report


def _run_pass(pass_: Pass, segment: Segment, shards: Sequence[Path], workers: Workers | int) -> list[dict[str, Any]]:
    done = pass_.folder / "results.json"
    if done.exists():
        return list(read_json(done))
    rows = [0, *accumulate(map(count_rows, shards))]
    tasks = [ShardTask(pass_, shard, first) for shard, first in zip(shards, rows, strict=False)]
    _decide(segment.decisions, tasks)
    if segment.across:
        look_across(segment.across, tasks, workers)
    results = []
    with Progress(f"corpus, pass {pass_.number + 1}", total=len(tasks), unit="shard") as bar:
        for _, result in map_units(write_shard, tasks, workers):
            results.append(result)
            bar.add(1)
    write_json(done, results, indent=None)
    remove(pass_.folder / "across")
    return results


def _decide(decisions: Sequence[ColumnDecision], tasks: Sequence[ShardTask]) -> None:
    """Make the pass's decisions over all shards and leave each shard its part."""
    pass_ = tasks[0].pass_
    view = ShardView([task.shard for task in tasks], labelled=pass_.number > 0)
    scratch = Scratch(pass_.folder / "scratch")
    rows, steps, reasons = [np.empty(0, np.int64)], [np.empty(0, object)], [Rejections.none()]
    for number, step in enumerate(decisions, 1):
        if isinstance(step, Label):
            with spent(step.name):
                view.move_to_holdout(step.label(view), number)
        else:
            with spent(step.name):
                rejections = step.decide(view, scratch)
            rows.append(view.reject(rejections.rows))
            steps.append(np.full(len(rejections), step.name, object))
            reasons.append(rejections)
        scratch.clear()
    joined = np.concatenate(rows)
    order = np.argsort(joined)
    whole = Decisions(view.labels, joined[order], np.concatenate(steps)[order], Rejections.join(reasons).take(order))
    with spent(BOOKS):
        for shard, task in enumerate(tasks):
            whole.part(int(view.starts[shard]), int(view.starts[shard + 1])).save(task)


def _write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _copy_edits(measure_dir: Path, out_dir: Path) -> None:
    """The edits made before the cut, so that the corpus tells its whole story."""
    for path in shard_paths(measure_dir / "edits"):
        with atomic_file(out_dir / "edits" / f"{path.stem}-measure.parquet") as aside:
            shutil.copyfile(path, aside)
