"""Metrics to TensorBoard, Weights & Biases and SwanLab beside the journals. Each is an extra of its own.

A phase is a run of its own there, called after the run's folder and the phase, with the phase's steps. What a tracker
does wrong never stops training: it is told once, and the tracker is left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tilth.base.errors import UserError

EXTRAS = {"tensorboard": "tensorboard", "wandb": "wandb", "swanlab": "swanlab"}
"""Module that each tracker needs; the extra of pip is called as the tracker."""


class Tracker(Protocol):
    """One place to look at curves."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Figures of a step; a step that is behind an earlier one takes the place of what was there, if it can."""

    def close(self) -> None:
        """All that was logged is kept."""


class TensorBoard:
    """Event files in FOLDER/PHASE; steps that were undone are purged (they vanish from the curves)."""

    def __init__(self, folder: Path, phase: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._open = lambda first: SummaryWriter(str(folder / phase), purge_step=first)
        self._writer: Any = None
        self._last = 0

    def log(self, step: int, values: dict[str, float]) -> None:
        if self._writer is None or step <= self._last:
            self.close()
            self._writer = self._open(step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._last = step

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class WandB:
    """A run of Weights & Biases with an id of its own, which a resumed phase goes on with.

    Its own settings are obeyed: `WANDB_MODE=offline` needs no account. Undone steps stay in its history; curves over
    `step` show both.
    """

    def __init__(self, folder: Path, phase: str) -> None:
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        name = f"{folder.parent.name}-{phase}"
        self._run = wandb.init(project="tilth", name=name, id=name, dir=str(folder), resume="allow")
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values | {"step": step})

    def close(self) -> None:
        self._run.finish()


class SwanLab:
    """An experiment of SwanLab; `SWANLAB_MODE=offline` needs no account. A step that is there is not replaced."""

    def __init__(self, folder: Path, phase: str) -> None:
        import swanlab

        folder.mkdir(parents=True, exist_ok=True)
        name = f"{folder.parent.name}-{phase}"
        self._run = swanlab.init(project="tilth", experiment_name=name, logdir=str(folder / "swanlab"))

    def log(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def close(self) -> None:
        self._run.finish()


_MAKERS: dict[str, Callable[[Path, str], Tracker]] = {"tensorboard": TensorBoard, "wandb": WandB, "swanlab": SwanLab}


class Trackers:
    """The trackers that a phase was asked to have, as one that cannot fail."""

    def __init__(self, names: Sequence[str], folder: Path, phase: str, warn: Callable[[str], None]) -> None:
        for name in names:
            if not importlib.util.find_spec(EXTRAS[name]):
                raise UserError(f"compute.trackers: {name} is not installed", hint=f"pip install 'tilth[{name}]'")
        self._warn = warn
        self._live: dict[str, Tracker] = {}
        for name in names:
            self._try(name, partial(self._open, name, folder, phase))

    def log(self, step: int, values: dict[str, float]) -> None:
        """Figures of a step, to all of them."""
        for name, tracker in list(self._live.items()):
            self._try(name, partial(tracker.log, step, values))

    def close(self) -> None:
        """Close all of them."""
        for name, tracker in list(self._live.items()):
            self._try(name, tracker.close)

    def _open(self, name: str, folder: Path, phase: str) -> None:
        self._live[name] = _MAKERS[name](folder, phase)

    def _try(self, name: str, act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception as error:  # a library of others, perhaps over a network: whatever it is, training goes on
            self._live.pop(name, None)
            self._warn(f"compute.trackers: {name} is left out from here on: {type(error).__name__}: {error}")


def figures(metrics: dict[str, Any], timings: dict[str, Any]) -> dict[str, float]:
    """What of a step's records can be drawn: numbers, with groups and the objective's metrics under their own names."""
    nested = {"loss_by_group": metrics["groups"], "objective": metrics.get("metrics", {})}
    flat = {name: value for record in (metrics, timings) for name, value in record.items() if name != "step"}
    flat |= {f"{part}/{name}": value for part, values in nested.items() for name, value in values.items()}
    return {name: float(value) for name, value in flat.items() if isinstance(value, int | float)}
