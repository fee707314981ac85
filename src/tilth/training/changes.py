"""What may change when a phase goes on from a checkpoint: asked of the settings, not kept by hand. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tilth.base.settings import Settings
from tilth.training.control import FIXED, Control
from tilth.training.settings import ComputeSettings, PhaseSettings

LAST_BITS = ("device", "threads", "processes", "shard", "deterministic")
"""Settings of the machine that conditions.json records: the run goes on, its last bits may differ."""
_SHAPES, _FREE, _BITS = "no: it shapes the result", "yes", "yes; the last bits may differ"


@dataclass(frozen=True)
class Change:
    """One setting: whether it may be another on resume, and whether a control file may change it while training."""

    setting: str
    on_resume: str
    while_training: str


def resume_table() -> list[Change]:
    """Every setting of a phase and of the machine."""
    return [*_phase(), *_compute()]


def _phase() -> Iterator[Change]:
    shaping = {*PhaseSettings(tokens=2).shaping(), *PhaseSettings.later}  # those too that do nothing by default
    for name in PhaseSettings.model_fields:
        running = _running(name)
        if name in ("optimizer", "schedule"):
            asked = [field for field in _fields(PhaseSettings, name) if field in Control.model_fields]
            running = "; ".join(filter(None, [f"yes: {', '.join(asked)}" if asked else "", running]))
        yield Change(f"pretrain.{name}", _SHAPES if name in shaping else _FREE, running)


def _fields(settings: type[Settings], name: str) -> list[str]:
    section = settings.model_fields[name].annotation
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, Settings) else []


def _compute() -> Iterator[Change]:
    for name in ComputeSettings.model_fields:
        yield Change(f"compute.{name}", _BITS if name in LAST_BITS else _FREE, _running(name))


def _running(name: str) -> str:
    if name in Control.model_fields:
        return "yes"
    return f"no: {FIXED[name]}" if name in FIXED else ""


def as_text() -> str:
    """The table for people."""
    rows = [("setting", "may be another on resume", "by control.yaml while training")]
    rows += [(change.setting, change.on_resume, change.while_training) for change in resume_table()]
    rows.append(("seed, data, weights to start from", _SHAPES, ""))
    rows.append(("versions of Python, torch and Tilth", _BITS, ""))
    width, second = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    return "\n".join(f"{a:<{width}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows)


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """`: phase.tokens was 10, now 11; …`, the first few; empty where nothing is known of before."""
    old, new = dict(_flat(before)), dict(_flat(now))
    found = [
        f"{name} was {_short(old.get(name))}, now {_short(new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    return f": {'; '.join(found[:5])}" if before and found else ""


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _flat(part, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
