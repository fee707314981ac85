"""Settings that change while training: a file `control.yaml` (or `.json`) in the phase's folder.

It is read between two steps, checked, written down as a decision, which a resumed run follows, and removed; one that
cannot be obeyed is set aside as `control.refused.yaml` with a warning. When the phase ends neither stays: its folder
holds what the phase came to. No torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from tilth.base import files
from tilth.base.errors import UserError
from tilth.base.settings import Settings, load_yaml, validate

NAMES = ("control.yaml", "control.json")
REFUSED = tuple(name.replace(".", ".refused.") for name in NAMES)
FIXED = {
    "optimizer": "another optimizer has another state: end the phase here (stop_at) and begin one with it",
    "activation": "the weights were trained for this one: begin a phase from a model with another",
    "mixture": "the mixture is the phase's or its controller's: begin a phase with another",
    "batch_tokens": "the order of the data hangs on it: begin a phase with another",
    "batch_sequences": "the order of the data hangs on it: begin a phase with another",
    "batch_ramp": "the order of the data hangs on it: begin a phase with another",
    "sequence_length": "the data is packed at this one: begin a phase with another",
    "precision": "it is fixed when the model is built: stop (stop_at) and begin a phase with another",
}
"""What cannot be changed while running, and what to do instead."""


class Control(Settings):
    """What a control file may ask; what it leaves out stays as it is, so none of the defaults here is ever used."""

    learning_rate: float = Field(1.0, gt=0, le=100, description="factor of every rate from the next step on")
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False, description="of what is decayed at all")
    gradient_clip: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="largest global norm of the gradient; null: any"
    )
    checkpoint_steps: int = Field(1, ge=1, description="steps between checkpoints")
    save: bool = Field(False, description="write a checkpoint now")
    stop_at: int = Field(1, ge=1, description="save and stop behind this step; the same command goes on")


def find_control(folder: Path) -> Path | None:
    """The control file, if one is there."""
    return next((path for name in NAMES if (path := folder / name).exists()), None)


def read_control(path: Path) -> dict[str, Any]:
    """What the file asks, as plain values; UserError with the line for what it cannot."""
    data, lines = load_yaml(path)
    if not isinstance(data, dict):
        raise UserError("expected settings, as KEY: VALUE", where=str(path))
    for name in FIXED.keys() & data.keys():
        raise UserError(f"{name} cannot change while training", where=lines.where((name,), str(path)), hint=FIXED[name])
    if not data:
        raise UserError("it asks for nothing", where=str(path), hint=f"settings are {', '.join(Control.model_fields)}")
    return validate(Control, data, source=str(path), lines=lines).model_dump(mode="json", exclude_unset=True)


def take_control(
    folder: Path, objection: Callable[[dict[str, Any]], str | None]
) -> tuple[dict[str, Any] | None, str | None]:
    """What a control file asks, or why it is refused: it cannot be read, or `objection` says so. It is gone then."""
    path = find_control(folder)
    if path is None:
        return None, None
    try:
        asked = read_control(path)
        if reason := objection(asked):
            raise UserError(reason, where=str(path))
    except UserError as error:
        refused = path.with_name(f"control.refused{path.suffix}")
        files.remove(refused)
        with contextlib.suppress(FileNotFoundError):  # whoever wrote it has taken it back
            path.replace(refused)
        return None, str(error)
    path.unlink()
    return asked, None


def clear_control(folder: Path) -> bool:
    """Remove all control files at a phase's end; whether there was one that nobody has taken up."""
    left = find_control(folder) is not None
    for name in NAMES + REFUSED:
        files.remove(folder / name)
    return left
