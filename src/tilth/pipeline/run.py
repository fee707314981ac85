"""Run a recipe, or say what running it would do."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.errors import UserError, nearest
from tilth.base.files import read_json, write_json, write_text
from tilth.base.progress import note
from tilth.corpus.report import check_some_left, idle_benchmarks, warnings_of
from tilth.pipeline.amounts import check_corpus, check_sources
from tilth.pipeline.checks import check_recipe, known_domains
from tilth.pipeline.execute import Done, execute, is_done, lock
from tilth.pipeline.forecast import Forecast, forecast, keep_forecast
from tilth.pipeline.graph import Graph, build_graph
from tilth.pipeline.recipe import ComputeSettings, Recipe, dump_recipe, load_recipe, placed
from tilth.pipeline.stage import Stage
from tilth.reports.blocks import cell
from tilth.reports.evaluation import Evaluation, forgetting_table, read_evaluations, task_tables


@dataclass(frozen=True)
class Plan:
    """What a run would make, and what it would need."""

    recipe: Recipe
    run_folder: Path
    stages: list[tuple[Stage, bool]]
    forecast: Forecast

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        stages = [{"stage": s.name, "fingerprint": s.fingerprint, "done": done} for s, done in self.stages]
        return {"run": str(self.run_folder), "stages": stages, "forecast": self.forecast.as_json()}

    def as_text(self) -> str:
        """For people."""
        width = max(len(stage.name) for stage, _ in self.stages)
        rows = [
            f"  {stage.name:<{width}}  {'there' if done else 'to do'}  {stage.fingerprint}"
            for stage, done in self.stages
        ]
        return "\n".join([f"run folder {self.run_folder}", *rows, "", self.forecast.as_text()])


@dataclass(frozen=True)
class Outcome:
    """What a run made."""

    run_folder: Path
    made: list[str]
    kept: list[str]
    evaluations: list[Evaluation]
    """Of every model, in the order of their training."""
    model: Path | None
    report: Path | None
    source_bytes_read: int
    """Bytes of source files read to know whether they changed; 0 where size and time are those of the last run."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "run": str(self.run_folder),
            "made": self.made,
            "kept": self.kept,
            "bits_per_byte": {
                evaluation.model: {name: row["bits_per_byte"] for name, row in evaluation.domains.items()}
                for evaluation in self.evaluations
            },
            "tasks": {evaluation.model: evaluation.tasks for evaluation in self.evaluations if evaluation.tasks},
            "samples": self.evaluations[-1].samples if self.evaluations else [],
            "model": str(self.model) if self.model else None,
            "report": str(self.report) if self.report else None,
            "source_bytes_read": self.source_bytes_read,
        }

    def as_text(self) -> str:
        """For people: scores, samples, and where things are."""
        lines = [f"{len(self.made)} stages made, {len(self.kept)} kept as they were"]
        if self.evaluations:
            lines += self._scores()
            for sample in self.evaluations[-1].samples[:3]:
                lines += ["", f"» {sample['prompt']}{sample['text']}"]
        lines.append("")
        lines += [f"model   {self.model}"] if self.model else []
        lines += [f"report  {self.report}"] if self.report else []
        return "\n".join(lines)

    def _scores(self) -> list[str]:
        """Tables of held-out text and of tasks, a column for each model."""
        lines: list[str] = []
        tables = [forgetting_table(self.evaluations)] if self.evaluations[0].domains else []
        tables += task_tables(self.evaluations)
        for columns, rows, title in tables:
            lines += ["", title, *_aligned([columns, *rows])]
        return lines


def _aligned(rows: Sequence[Sequence[Any]]) -> list[str]:
    """A table in text: the first column to the left, the others to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return ["  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]


def prepare(path: Path, assignments: list[str], runs: Path) -> tuple[Recipe, Path, Graph]:
    """Load and check a recipe, resolve what depends on the machine, build its graph."""
    if runs.exists() and not runs.is_dir():
        raise UserError("the folder of runs is a file", where=str(runs), hint="give another --runs")
    recipe = load_recipe(path, assignments)
    recipe = recipe.model_copy(update={"compute": resolve_compute(recipe.compute)})
    base = path.resolve().parent
    run_folder = runs / recipe.name
    with placed(path, assignments):
        check_recipe(recipe, base)
        return recipe, run_folder, build_graph(recipe, base, run_folder)


def resolve_compute(compute: ComputeSettings) -> ComputeSettings:
    """Threads and workers as numbers, so that the kept recipe says what the run used."""
    cores = machine.cores()
    threads = compute.threads or max(1, cores // compute.processes)
    return compute.model_copy(update={"threads": threads, "workers": compute.workers or cores})


def plan_recipe(
    path: Path, assignments: list[str], runs: Path, *, until: str | None = None, only: str | None = None
) -> Plan:
    """What would be made; nothing is written."""
    recipe, run_folder, graph = prepare(path, assignments, runs)
    wanted = _choose(graph, run_folder, until, only)
    _check_amounts(recipe, path, assignments, wanted)
    stages = [(stage, is_done(run_folder, stage)) for stage in wanted]
    return Plan(recipe, run_folder, stages, forecast(recipe, path.resolve().parent, run_folder, graph))


def run_recipe(
    path: Path,
    assignments: list[str],
    runs: Path,
    *,
    until: str | None = None,
    only: str | None = None,
    quiet: bool = False,
) -> Outcome:
    """Make all stages that are not there (`until` a stage, or `only` one); then write report and outcome."""
    recipe, run_folder, graph = prepare(path, assignments, runs)
    wanted = _choose(graph, run_folder, until, only)
    _check_amounts(recipe, path, assignments, wanted)
    with lock(run_folder):
        graph.hashes.save()
        missing = [stage for stage in wanted if not is_done(run_folder, stage)]
        _check_torch(missing)
        changed = _keep_recipe(run_folder, dump_recipe(recipe))
        if missing:
            told = forecast(recipe, path.resolve().parent, run_folder, graph)
            keep_forecast(run_folder / "forecast.json", told, anew=changed)
            if not quiet:
                print(told.as_text(), file=sys.stderr)
        made = []
        for item in execute(wanted, run_folder, recipe.compute):
            if item.fresh:
                made.append(item.stage.name)
                _tell(item, quiet)
                _warn(item)
            if item.stage.name == "corpus":
                report = read_json(item.folder / "report.json")
                check_some_left(report, f"tilth look {shlex.quote(str(run_folder))} --rejected all")
                if any(stage.needs_torch for stage in wanted):
                    with placed(path, assignments):
                        check_corpus(recipe, report)
        return _outcome(run_folder, graph, made, changed)


def _warn(item: Done) -> None:
    """What a person should know of the sources once they are read, and of the benchmarks once they were looked for."""
    told = {"measure": warnings_of, "corpus": idle_benchmarks}.get(item.stage.name)
    for warning in told(read_json(item.folder / "report.json")) if told else ():
        note(warning)


def _check_amounts(recipe: Recipe, path: Path, assignments: list[str], wanted: list[Stage]) -> None:
    """Whether the sources can be enough for a training that is wanted; a corpus alone asks nothing of them."""
    if any(stage.needs_torch for stage in wanted):
        base = path.resolve().parent
        with placed(path, assignments):
            check_sources(recipe, base, known_domains(recipe, base))


def _check_torch(missing: list[Stage]) -> None:
    """Training and what follows it need torch: better said before the hours that come first."""
    training = next((stage.name for stage in missing if stage.needs_torch), None)
    if training is not None and importlib.util.find_spec("torch") is None:
        raise UserError(
            f"{training} needs torch, which is not installed",
            hint="pip install 'tilth[train]', or stop before: --until",
        )


def _keep_recipe(run_folder: Path, text: str) -> bool:
    """Write down the recipe that the run folder now stands for; returns whether it was another."""
    path = run_folder / "recipe.yaml"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def _tell(item: Done, quiet: bool) -> None:
    """Say that a stage is done, with its figures."""
    if not quiet:
        figures = ", ".join(f"{key} {_brief(value)}" for key, value in item.measured["figures"].items())
        print(f"{item.stage.name}: {item.measured['wall_seconds']:.1f} s  {figures[:160]}", file=sys.stderr)


def _choose(graph: Graph, run_folder: Path, until: str | None, only: str | None) -> list[Stage]:
    """The stages that a run is to make."""
    if until is not None and only is not None:
        raise UserError("--until and --only exclude each other", hint="--only makes one stage, --until all up to it")
    names = [stage.name for stage in graph.stages]
    for wanted in (until, only):
        if wanted is not None and wanted not in names:
            raise UserError(f"there is no stage {wanted!r} in this recipe", hint=nearest(wanted, names))
    if only is not None:
        stage = graph.stages[names.index(only)]
        for needed in stage.inputs.values():
            if not is_done(run_folder, needed):
                raise UserError(f"{only} needs {needed.name}, which is not there", hint=f"use --until {only}")
        return [stage]
    return list(graph.stages[: names.index(until) + 1 if until else None])


def _outcome(run_folder: Path, graph: Graph, made: list[str], changed: bool) -> Outcome:
    """Write outcome and report of every stage that is there; say what was made."""
    from tilth.reports.page import write_report

    folders = {stage.name: run_folder / stage.folder for stage in graph.stages if is_done(run_folder, stage)}
    report = run_folder / "report.html"
    outcome = {
        "stages": {name: folder.name for name, folder in folders.items()},
        "measured": {name: read_json(folder / "measured.json") for name, folder in folders.items()},
    }
    known = run_folder / "outcome.json"
    if made or changed or not known.exists() or read_json(known) != outcome:
        write_json(known, outcome)
        write_report(run_folder)
    return Outcome(
        run_folder,
        made,
        [name for name in folders if name not in made],
        read_evaluations(folders),
        _link_models(run_folder, {n.removeprefix("export-"): f for n, f in folders.items() if n.startswith("export-")}),
        report if report.exists() else None,
        graph.hashes.bytes_read,
    )


def _link_models(run_folder: Path, exported: dict[str, Path]) -> Path | None:
    """`models/NAME` for each exported model, and `model` for the last of them."""
    (run_folder / "models").mkdir(exist_ok=True)
    for old in (run_folder / "models").iterdir():
        if old.is_symlink() and old.name not in exported:
            old.unlink()
    for name, folder in exported.items():
        link(run_folder / "models" / name, Path("..") / folder.name)
    return link(run_folder / "model", Path(list(exported.values())[-1].name)) if exported else None


def link(name: Path, target: Path) -> Path:
    """Point the link `name` to `target`, as seen from its folder; a name that stays while fingerprints change."""
    aside = name.with_name(f".{name.name}.link")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.replace(name)
    return name


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{k} {_brief(v)}" for k, v in value.items()) + ")"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)
