"""Job: everything that a training phase is told, in memory and as a JSON file that every rank reads. No torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.base import files
from tilth.model.adapters.settings import AdapterSettings
from tilth.model.config import DecoderConfig
from tilth.training.controller import Controller
from tilth.training.settings import ComputeSettings, PhaseSettings

if TYPE_CHECKING:
    from tilth.training.batch import Reader
    from tilth.training.objective import Objective


@dataclass(frozen=True)
class Factory:
    """A function by its name, `package.module:function`, and its keyword arguments (plain JSON values)."""

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def make(self) -> Any:
        """What the function returns: an object of this process's own."""
        module, _, function = self.function.partition(":")
        return getattr(importlib.import_module(module), function)(**self.arguments)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One phase to train. Where a factory may stand, so may what it makes; only factories can be written to a file."""

    phase: PhaseSettings
    reader: Reader | Factory
    folder: Path
    """Where it is trained, and found when it is finished."""
    start: DecoderConfig | Path
    """A configuration (new weights from `seed`), the folder of a finished phase (its weights, optimizer state and order
    go on) or a Hugging Face folder (its weights)."""
    seed: int
    compute: ComputeSettings = field(default_factory=ComputeSettings)
    objective: Objective | Factory | None = None
    """By default the next token's cross-entropy."""
    controller: Controller | Factory | None = None
    """By default the phase's mixture, fixed."""
    adapter: AdapterSettings | None = None
    """With one, the weights that the phase starts from are frozen, and merged with it at the end."""
    embedding_noise: float = 0.0
    """NEFTune's alpha; 0: none."""
    fresh: bool = False
    """Of a finished phase its weights alone go on, as behind another kind of training."""
    tracking: Path | None = None
    """Folder of what the trackers of `compute` keep; without it there are none."""
    decisions: Path | None = None
    """A journal of decisions to follow from the first step on, of a phase that is to be repeated."""
    recompute_because: str = ""
    """Why `compute.recompute` is what it is, where that was decided and not said: a decision that is followed later."""

    def save(self, path: Path) -> None:
        """Write the job for `load`."""
        start = self.start.canonical() if isinstance(self.start, DecoderConfig) else str(self.start.absolute())
        makers = {name: getattr(self, name) for name in _MADE}
        if given := [name for name, maker in makers.items() if not isinstance(maker, Factory | None)]:
            raise TypeError(f"a job with an object as its {given[0]} cannot be written; give a Factory")
        files.write_json(
            path,
            {
                "phase": self.phase.canonical(),
                "folder": str(self.folder.absolute()),
                "start": start,
                "seed": self.seed,
                "compute": self.compute.canonical(),
                "adapter": self.adapter and self.adapter.canonical(),
                "embedding_noise": self.embedding_noise,
                "fresh": self.fresh,
                "tracking": self.tracking and str(self.tracking.absolute()),
                "decisions": self.decisions and str(self.decisions.absolute()),
                "recompute_because": self.recompute_because,
            }
            | {name: maker and vars(maker) for name, maker in makers.items()},
        )

    @staticmethod
    def load(path: Path) -> Job:
        """Read what `save` wrote."""
        stored = files.read_json(path)
        start, adapter = stored["start"], stored["adapter"]
        return Job(
            **stored
            | {name: stored[name] and Factory(**stored[name]) for name in _MADE}
            | {
                "phase": PhaseSettings.model_validate(stored["phase"]),
                "folder": Path(stored["folder"]),
                "start": Path(start) if isinstance(start, str) else DecoderConfig.model_validate(start),
                "compute": ComputeSettings.model_validate(stored["compute"]),
                "adapter": adapter and AdapterSettings.model_validate(adapter),
                "tracking": stored["tracking"] and Path(stored["tracking"]),
                "decisions": stored["decisions"] and Path(stored["decisions"]),
            }
        )


_MADE = ("reader", "objective", "controller")


def made(what: Any) -> Any:
    """`what` itself, or what the factory makes."""
    return what.make() if isinstance(what, Factory) else what
