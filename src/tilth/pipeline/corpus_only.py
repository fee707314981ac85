"""The corpus chain alone, on plain files: the first two stages of a recipe in a folder of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.files import ContentHashes, read_json
from tilth.base.settings import Lines, load_yaml, validate
from tilth.corpus.settings import CorpusSettings, SourceSettings
from tilth.pipeline.execute import execute, lock
from tilth.pipeline.recipe import ComputeSettings, Recipe
from tilth.pipeline.stages.corpus import corpus_stage, measure_stage


def run_corpus(
    inputs: list[str], out: Path, config: Path | None, domain: str, workers: int | None
) -> tuple[dict[str, Any], Path]:
    """Run the chain over `inputs` into `out`; returns the report and the folder of the corpus.

    Finished parts are kept: the same call goes on after a kill, and a changed threshold in `config` measures nothing
    again.
    """
    data, lines = load_yaml(config) if config else ({}, Lines())
    settings = validate(CorpusSettings, data, source=str(config), lines=lines)
    sources = [SourceSettings(path=os.path.abspath(path), default_domain=domain) for path in inputs]
    recipe = Recipe(name="corpus", corpus=settings.model_copy(update={"sources": [*settings.sources, *sources]}))
    base = (config.resolve() if config else out.resolve()).parent
    with lock(out):
        hashes = ContentHashes(out / ".cache" / "content_hashes.json")
        measured = measure_stage(recipe, base, None, hashes)
        stages = [measured, corpus_stage(recipe, base, measured, hashes)]
        hashes.save()
        done = list(execute(stages, out, ComputeSettings(workers=workers or machine.cores())))
    return dict(read_json(done[-1].folder / "report.json")), done[-1].folder
