"""The corpus chain alone, on plain files: the first two stages of a recipe in a folder of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.errors import UserError
from tilth.base.files import ContentHashes, read_json
from tilth.base.pool import Engine
from tilth.base.settings import Lines, load_yaml, validate
from tilth.corpus.settings import CorpusSettings, SourceSettings
from tilth.corpus.sources import find_files
from tilth.pipeline.execute import execute, lock
from tilth.pipeline.recipe import ComputeSettings, Recipe
from tilth.pipeline.stages.corpus import corpus_stage, measure_stage


def run_corpus(
    inputs: list[str], out: Path, config: Path | None, domain: str, workers: int | None, engine: Engine = "local"
) -> tuple[dict[str, Any], Path]:
    """Run the chain over `inputs` into `out`; returns the report and the folder of the corpus.

    Finished parts are kept: the same call goes on after a kill, and a changed threshold in `config` measures nothing
    again.
    """
    settings = _settings(config)
    sources = [SourceSettings(path=os.path.abspath(os.path.expanduser(path)), default_domain=domain) for path in inputs]
    recipe = Recipe(name="corpus", corpus=settings.model_copy(update={"sources": [*settings.sources, *sources]}))
    base = (config.resolve() if config else out.resolve()).parent
    _check_out(inputs, out)
    if sources:
        find_files(sources, base, called=[f"the input {path!r}" for path in inputs], hint="check the path")
    hashes = ContentHashes(out / ".cache" / "content_hashes.json")
    measured = measure_stage(recipe, base, None, hashes)
    stages = [measured, corpus_stage(recipe, base, measured, hashes)]
    with lock(out):
        hashes.save()
        done = list(execute(stages, out, ComputeSettings(workers=workers or machine.cores(), engine=engine)))
    return dict(read_json(done[-1].folder / "report.json")), done[-1].folder


def _settings(config: Path | None) -> CorpusSettings:
    """The corpus section of a recipe, or a file that holds nothing else."""
    data, lines = load_yaml(config) if config else ({}, Lines())
    if isinstance(data, dict) and "corpus" in data:
        data = data["corpus"]
        lines = Lines({path[1:]: line for path, line in lines.items() if path[:1] == ("corpus",)})
    return validate(CorpusSettings, data, source=str(config), lines=lines)


def _check_out(inputs: list[str], out: Path) -> None:
    """The output is a folder of its own: inside an input it would be read as text the next time."""
    if out.exists() and not out.is_dir():
        raise UserError("the output is a file; a folder is expected", where=str(out))
    for path in map(Path, inputs):
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise UserError(f"the output lies inside the input {path}", where=str(out), hint="give a folder outside it")
