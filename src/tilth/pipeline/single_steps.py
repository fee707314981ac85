"""One step of the corpus chain on plain files: duplicates, benchmark items, personal data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tilth.base.errors import UserError
from tilth.base.pool import Engine
from tilth.base.settings import validate
from tilth.corpus.settings import CorpusSettings, SourceSettings
from tilth.corpus.sources import find_files
from tilth.pipeline.corpus_only import run_chain

Method = Literal["exact", "minhash", "substring", "line"]
_AGAINST = "tilth: kept aside"
"""The source of documents that others are compared with; no data set calls itself so."""
_STEPS: dict[Method, list[str]] = {
    "exact": ["measure", "holdout", "exact"],
    "minhash": ["measure", "holdout", "near"],
    "substring": ["measure", "holdout", "substring"],
    "line": ["measure", "holdout", "passages"],
}


class Job(NamedTuple):
    """What every one of the commands is given."""

    inputs: list[str]
    out: Path
    domain: str
    workers: int | None
    engine: Engine = "local"

    def run(self, settings: dict[str, Any], called: Sequence[str] = ()) -> tuple[dict[str, Any], Path]:
        """Run the chain of these settings, its sources `called` so; returns the report and the corpus's folder."""
        chain = validate(CorpusSettings, settings, source="the command line")
        return run_chain(chain, self.inputs, self.out, Path.cwd(), self.domain, self.workers, self.engine, called)


def dedup(job: Job, method: Method, against: list[str], survivor: str, **asked: Any) -> tuple[dict[str, Any], Path]:
    """Remove what stands twice. What `against` has is kept aside, in `holdout/`, and its copies leave the inputs.

    `asked`: settings of the method's step, those that are not None.
    """
    steps = list(_STEPS[method])
    settings: dict[str, Any] = {"sources": _sources(against)}
    if method in ("exact", "minhash"):
        settings["survivor"] = survivor
    if against:
        settings["holdout"] = {"fraction": 0, "where": f"source == '{_AGAINST}'"}
    else:
        steps.remove("holdout")
    if against or method in ("exact", "minhash"):
        settings["measure"] = {"language": "never"}
    else:
        steps.remove("measure")
    if given := _given(asked):
        settings[steps[-1]] = given
    return job.run({**settings, "steps": steps}, _called(against))


def decontaminate(job: Job, against: list[str], **asked: Any) -> tuple[dict[str, Any], Path]:
    """Remove documents that hold benchmark items, or cut the items out of them."""
    _sources(against)
    return job.run({"steps": ["decontaminate"], "decontaminate": {"against": _places(against), **_given(asked)}})


def mask(job: Job, **asked: Any) -> tuple[dict[str, Any], Path]:
    """Replace personal data by placeholders."""
    return job.run({"steps": ["mask"], "mask": _given(asked)})


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    """What was said on the command line."""
    return {name: value for name, value in asked.items() if value is not None}


def _places(paths: list[str]) -> list[str]:
    return [os.path.abspath(os.path.expanduser(path)) for path in paths]


def _called(against: list[str]) -> list[str]:
    return [f"--against {path!r}" for path in against]


def _sources(against: list[str]) -> list[dict[str, Any]]:
    """The files as sources; UserError for those that are not there."""
    if not all(path.strip() for path in against):
        raise UserError("the name is empty", where="--against", hint="give files, globs or folders")
    sources = [SourceSettings(path=path, source=_AGAINST) for path in _places(against)]
    if sources:
        find_files(sources, Path.cwd(), called=_called(against), hint="check the path")
    return [source.model_dump() for source in sources]
