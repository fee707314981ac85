"""Which exported models a path stands for: a Hugging Face folder, a run, or a folder that holds several."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tilth.base.errors import UserError

_NEEDED = ("config.json", "tokenizer.json")
_LATEST, _STAGES = "model", "models"


def find_models(paths: Iterable[Path]) -> dict[str, Path]:
    """All models by the name under which they are served: the folder's; where two are alike, its parent's before it.

    A path is an exported folder, a run (`models/*`, the latest last, where it has them, else its link `model`), or a
    folder of exported folders.
    """
    folders = [folder for path in paths for folder in _models_at(_plain(path))]
    found: dict[str, Path] = {}
    for folder in folders:
        name = _name(folder)
        if sum(_name(other) == name for other in folders) > 1:
            name = f"{_owner(folder).name}/{name}"
        if name in found:
            raise UserError(f"two of the models would be called {name!r}", where=str(folder), hint="name each once")
        found[name] = folder
    return found


def pick_model(path: Path) -> tuple[str, Path]:
    """The one model at `path`; of a run, the latest."""
    path = _plain(path)
    if _is_model(path / _LATEST):
        path = path / _LATEST
    folders = _models_at(path)
    if len(folders) > 1:
        names = ", ".join(str(folder) for folder in folders)
        raise UserError("several models are here", where=str(path), hint=f"name one of {names}")
    return _name(folders[0]), folders[0]


def _models_at(path: Path) -> list[Path]:
    latest = path / _LATEST
    stages = sorted(_inside(path / _STAGES), key=lambda stage: stage.resolve() == latest.resolve())
    for found in ([path], stages, [latest], _inside(path)):
        if found and all(map(_is_model, found)):
            return found
    if not path.exists():
        raise UserError("there is no such folder", where=str(path), hint="give an exported model or a finished run")
    missing = ", ".join(name for name in _NEEDED if not (path / name).exists())
    raise UserError(
        f"no exported model is here ({missing} missing)",
        where=str(path),
        hint="give a Hugging Face folder, or a run that has come to its export",
    )


def _inside(folder: Path) -> list[Path]:
    return sorted(filter(_is_model, folder.iterdir())) if folder.is_dir() else []


def _is_model(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _NEEDED)


def _plain(path: Path) -> Path:
    """Absolute, without `..`; links stay, for their names count."""
    return Path(os.path.abspath(path))


def _name(folder: Path) -> str:
    """A run's link `model` is called as the run."""
    return folder.parent.name if folder.name == _LATEST else folder.name


def _owner(folder: Path) -> Path:
    """The run of one of its `models`, else the folder around."""
    return folder.parent.parent if folder.parent.name == _STAGES else folder.parent
