"""A stage: a function from input artifacts and settings to one artifact folder, named by its fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tilth.base.events import Journal
from tilth.base.files import fingerprint
from tilth.pipeline.recipe import ComputeSettings


@dataclass(frozen=True)
class Context:
    """What a stage's body is given.

    `out` becomes the artifact; `work` is scratch that survives a kill and is removed when the stage is done;
    `inputs` are the folders of the stages that this one names, by name.
    """

    out: Path
    work: Path
    inputs: dict[str, Path]
    compute: ComputeSettings
    events: Journal
    run_folder: Path


Body = Callable[[Context], dict[str, Any]]
"""Writes the artifact into `context.out`; returns figures for the event log and the terminal."""


@dataclass(frozen=True)
class Stage:
    """One node of the graph.

    `version` is raised whenever the same inputs and settings give another output. `external` holds content hashes
    of what comes from outside the run. How the work is computed (threads, workers) never enters the fingerprint.
    """

    name: str
    version: int
    settings: dict[str, Any]
    body: Body = field(repr=False)
    inputs: dict[str, Stage] = field(default_factory=dict)
    external: dict[str, Any] = field(default_factory=dict)
    measured: tuple[str, ...] = ()
    """Files of the artifact that differ from run to run (times); they are kept but not hashed."""
    needs_torch: bool = False
    """Whether the body computes with torch."""

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that the output depends on."""
        return {
            "stage": self.name,
            "version": self.version,
            "settings": self.settings,
            "inputs": {name: stage.fingerprint for name, stage in self.inputs.items()},
            "external": self.external,
        }

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits: equal for equal identities."""
        return fingerprint(self.identity)

    @property
    def folder(self) -> str:
        """The artifact's folder name in the run."""
        return f"{self.name}-{self.fingerprint}"
