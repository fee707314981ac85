"""How `tilth fit` tells what it found: facts for people or machines, kept as JSON."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.base.errors import UserError
from tilth.cli.fit_charts import fit_chart
from tilth.cli.result_files import draw
from tilth.cli.table import assignments

if TYPE_CHECKING:
    from tilth.laws.fitting import Fit, Prediction
    from tilth.laws.isoflop import Frontier


def tell_fit(
    found: Fit, predict: str | None, more: dict[str, Any], out: Path | None, plot: Path | None, as_json: bool
) -> None:
    """A fitted law, a prediction of it, and what else was asked."""
    from tilth.laws.fitting.data import RowError

    facts = found.as_dict()
    if predict is not None:
        place = assignments(predict, list(found.law.columns))
        try:
            facts["prediction"] = found.predict(place, found.counting).as_dict() | {"at": place}
        except RowError as error:
            raise UserError(error.said, where="--predict", hint=error.hint) from None
    if plot:
        draw(plot, fit_chart(found))
    tell(facts | more, out, as_json)


def tell_frontier(found: Frontier, flops: float | None, out: Path | None, as_json: bool) -> None:
    """N*(C), and the best size for a budget."""
    facts = found.as_dict()
    if flops is not None:
        facts["optimum"] = optimum_told(found.optimum(flops))
    tell(facts, out, as_json)


def optimum_told(found: dict[str, Prediction]) -> dict[str, Any]:
    """Each figure with its interval; a warning, which is of all of them, once."""
    figures = {name: {"value": one.value, "interval": one.as_dict()["interval"]} for name, one in found.items()}
    return figures | {"warnings": list(dict.fromkeys(said for one in found.values() for said in one.warnings))}


def tell(facts: dict[str, Any], out: Path | None, as_json: bool) -> None:
    """Facts, kept and printed."""
    from tilth.base.files import strict_json, write_text

    if out:
        write_text(out, strict_json(facts, indent=1) + "\n")
    if as_json:
        print(strict_json(facts))
        return
    for line in _lines(facts):
        print(line)


NATS = "nats a token"
UNITS = {
    "held_out mean": NATS,
    "held_out largest": NATS,
    "held_out per_cent": "%",
    "extrapolated mean": NATS,
    "extrapolated largest": NATS,
    "extrapolated per_cent": "%",
    "members *": NATS,
    "prediction *": NATS,
    "optimum loss *": NATS,
    "keep_general *_loss": NATS,
    "reach_domain *_loss": NATS,
    "limited_domain_tokens *_loss": NATS,
    "best mean_loss*": NATS,
    "carried * * error": NATS,
    "base": NATS,
}
"""Of figures whose names do not say them, by the headings above them; a star stands for a name or a part of it."""
WORDS = {"mean": "mean error", "largest": "largest error", "per_cent": "mean error"}
ERRORS = ("held_out", "extrapolated")
NAMES = {"parameters", "intervals", "range", "at", "shares", "weights", "prediction", "carried"}
"""Headings above names of a law's parameters and of a file's columns, which stay as they are."""


def _lines(facts: dict[str, Any], above: tuple[str, ...] = ()) -> list[str]:
    """Facts for people: one a line, warnings last."""
    shown, indent = [], "  " * len(above)
    for name, value in facts.items():
        if value is None or name in ("warnings", "budgets", "data"):
            continue
        words = WORDS.get(name, name) if above and above[-1] in ERRORS else name
        if NAMES.isdisjoint(above):
            words = words.replace("_", " ")
        label, unit = f"{indent}{words}", _unit((*above, name), value)
        if isinstance(value, dict):
            shown += [label, *_lines(value, (*above, name))]
        elif isinstance(value, list | tuple):
            between = " to " if len(value) == 2 and all(isinstance(one, float) for one in value) else ", "
            shown.append(f"{label:<32} {between.join(_number(one) for one in value)} {unit}".rstrip())
        else:
            number = f"{value:.4f}" if above[-1:] == ("shares",) else _number(value)
            shown.append(f"{label:<32} {number} {unit}".rstrip())
    return [*shown, *(f"{indent}! {one}" for one in facts.get("warnings", []))]


def _unit(path: tuple[str, ...], value: Any) -> str:
    """Of numbers alone: `how` and group names have none."""
    several = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, float) for one in several):
        return ""
    for pattern, unit in UNITS.items():
        parts = pattern.split()
        if len(parts) == len(path) and all(map(fnmatchcase, path, parts)):
            return unit
    return ""


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
