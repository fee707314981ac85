"""The corpus chain alone, on plain files: the first two stages of a recipe in a folder of their own."""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tilth.base import machine
from tilth.base.errors import UserError
from tilth.base.files import ContentHashes, read_json
from tilth.base.pool import Engine
from tilth.base.settings import Lines, load_yaml, validate
from tilth.corpus.chain import build_chain
from tilth.corpus.report import check_some_left
from tilth.corpus.running.work import batchwise
from tilth.corpus.settings import CorpusSettings, SourceSettings, template_field
from tilth.corpus.sources import find_files, would_read
from tilth.pipeline.execute import execute, lock
from tilth.pipeline.recipe import ComputeSettings, Recipe, with_line
from tilth.pipeline.stage import Stage
from tilth.pipeline.stages.corpus import benchmark_files, corpus_stage, measure_stage, source_files

if TYPE_CHECKING:  # the planner is loaded where a plan is asked for
    from tilth.planning.corpus_plan import CorpusPlan, Hardware


def run_corpus(
    inputs: list[str], out: Path, config: Path | None, domain: str, workers: int | None, engine: Engine = "local"
) -> tuple[dict[str, Any], Path]:
    """Run the chain over `inputs` into `out`; returns the report and the folder of the corpus.

    Finished parts are kept: the same call goes on after a kill, and a changed threshold in `config` measures nothing
    again.
    """
    settings, base = _settings(config), (config.resolve() if config else out.resolve()).parent
    with _placed(config):
        planned = _plan_stages(settings, inputs, out, base, domain)
    return _run(*planned, out, workers, engine)


def run_chain(
    settings: CorpusSettings,
    inputs: list[str],
    out: Path,
    base: Path,
    domain: str,
    workers: int | None,
    engine: Engine = "local",
    called: Sequence[str] = (),
) -> tuple[dict[str, Any], Path]:
    """The same for the chain that `settings` say, whose paths are seen from `base`; `called` are the names of its own
    sources, where they stand in no file. UserError where nothing can be read of one of these.
    """
    return _run(*_plan_stages(settings, inputs, out, base, domain, called), out, workers, engine, called)


def _plan_stages(
    settings: CorpusSettings, inputs: list[str], out: Path, base: Path, domain: str, called: Sequence[str] = ()
) -> tuple[list[Stage], ContentHashes]:
    """Both stages, and the hashes that were read for them."""
    if out.exists() and not out.is_dir():
        raise UserError("the output is a file; a folder is expected", where=str(out))
    names = [*(called or _own_names(settings)), *_input_names(inputs)]
    recipe = Recipe(name="corpus", corpus=_with_inputs(settings, inputs, domain, base, names))
    _check_apart(recipe.corpus.sources, names, base, out)
    hashes = ContentHashes(out / ".cache" / "content_hashes.json")
    with batchwise():  # numba and the kernels are loaded here
        measured = measure_stage(recipe, base, None, hashes)
        stages = [measured, corpus_stage(recipe, base, measured, hashes)]
    gc.freeze()  # what was loaded stays: nobody looks for garbage in it, behind each stage
    return stages, hashes


def _run(
    stages: list[Stage],
    hashes: ContentHashes,
    out: Path,
    workers: int | None,
    engine: Engine,
    called: Sequence[str] = (),
) -> tuple[dict[str, Any], Path]:
    with lock(out):
        hashes.save()
        for done in execute(stages, out, ComputeSettings(workers=workers or machine.cores(), engine=engine)):
            report = dict(read_json(done.folder / "report.json"))
            _check_read(report, called)
    check_some_left(report, f"tilth look {shlex.quote(str(out))} --rejected all")
    return report, done.folder


def _check_read(report: dict[str, Any], called: Sequence[str]) -> None:
    """Refuse to go on without one of the sources that have these names: the others are to be held against it."""
    for number, name in enumerate(called):
        if why := report.get("unread_sources", {}).get(str(number)):
            raise UserError(f"nothing would be held against it: {why}", where=name, hint="give what can be read")


def plan_corpus(
    inputs: list[str],
    config: Path | None,
    domain: str,
    hardware: Hardware,
    *,
    size: int | None = None,
    sample: int = 32_000_000,
    seed: int = 0,
) -> CorpusPlan:
    """What the same chain would need: `sample` bytes of the files are put through it, in a folder that is removed.

    The forecast is for `size` bytes of such files as they lie; None: for the files themselves.
    """
    from tilth.corpus.rules.keywords import located
    from tilth.planning.corpus_plan import plan
    from tilth.planning.corpus_sample import draw
    from tilth.planning.corpus_trial import run_trial

    base = (config.resolve() if config else Path.cwd() / "corpus").parent
    own = _settings(config)
    with _placed(config):
        names = [*_own_names(own), *_input_names(inputs)]
        settings = located(_with_inputs(own, inputs, domain, base, names), base)
        files = source_files(settings, base)
        benchmarks = benchmark_files(settings, base)
        build_chain(settings, benchmarks)
    if not sum(file.size for file in files):
        raise UserError("there is nothing to sample: the files are empty", hint="check the path")
    with TemporaryDirectory(prefix="tilth-plan-") as folder:
        drawn = draw(files, sample, seed, Path(folder) / "pieces")
        return plan(run_trial(settings, drawn, benchmarks, Path(folder)), settings, hardware, size)


def _own_names(settings: CorpusSettings) -> list[str]:
    return [f"corpus.sources.{i}" for i in range(len(settings.sources))]


def _input_names(inputs: list[str]) -> list[str]:
    return [f"the input {path!r}" for path in inputs]


def _with_inputs(
    settings: CorpusSettings, inputs: list[str], domain: str, base: Path, names: Sequence[str]
) -> CorpusSettings:
    """The settings with the inputs of the command line behind their own sources, all of which have these names.

    `domain` is for records that name none, of sources of either kind that say nothing about them.
    Refuses inputs that match nothing or are read already, and a chain without any source.
    """
    if not all(path.strip() for path in inputs):
        raise UserError("the name of an input is empty", hint="give files, globs or folders")
    if not inputs and not settings.sources:
        raise nothing_to_read()
    sources = [SourceSettings(path=os.path.abspath(os.path.expanduser(path)), default_domain=domain) for path in inputs]
    if sources:
        find_files(sources, base, called=names[-len(sources) :], hint="check the path")
    together = [*(_with_default(source, domain) for source in settings.sources), *sources]
    if len(together) > len(sources):
        find_files(together, base, called=names)
    return settings.model_copy(update={"sources": together})


def _with_default(source: SourceSettings, domain: str) -> SourceSettings:
    settled = source.default_domain or (source.domain and not template_field(source.domain))
    return source if settled else source.model_copy(update={"default_domain": domain})


def nothing_to_read() -> UserError:
    """Neither the command line nor the settings name a file."""
    return UserError("nothing to read", hint="give files, globs or folders, or --config with `sources`")


@contextlib.contextmanager
def _placed(config: Path | None) -> Iterator[None]:
    """In the block, a mistake whose place is a setting (`corpus.rules.0.where`) is told with the line that sets it."""
    try:
        yield
    except UserError as error:
        if config is None:
            raise
        raise with_line(error, *_as_recipe(config), config) from None


def _as_recipe(config: Path) -> tuple[dict[str, Any], Lines]:
    """A recipe, or a file that is its corpus section alone, as a recipe, and the lines of its settings."""
    data, lines = load_yaml(config)
    if isinstance(data, dict) and "corpus" in data:
        return data, lines
    return {"corpus": data}, Lines({("corpus", *path): line for path, line in lines.items()})


def _settings(config: Path | None) -> CorpusSettings:
    data, lines = _as_recipe(config) if config else ({"corpus": {}}, Lines())
    within = Lines({path[1:]: line for path, line in lines.items() if path[0] == "corpus"})
    return validate(CorpusSettings, data["corpus"], source=str(config), lines=within)


_WRITTEN = (
    "events.jsonl",
    "measure-0/unreadable.jsonl",
    "measure-0/documents/unit-0.parquet",
    "corpus-0/report.json",
    "corpus-0/card.md",
)
"""One file of each kind that a run writes."""


def _check_apart(sources: Sequence[SourceSettings], names: Sequence[str], base: Path, out: Path) -> None:
    """The output is a folder of its own: what lies inside of an input would be read as text the next time."""
    for source, name in zip(sources, names, strict=True):
        if any(would_read(source, base, out / file) for file in _WRITTEN):
            reason = f"the output {str(out)!r} lies inside it, and would be read as text the next time"
            raise UserError(reason, where=name, hint="give --out outside of it")
