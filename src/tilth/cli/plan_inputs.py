"""What the commands of `tilth plan` are given: models, clusters, budgets, bytes a parameter; keys for --help."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from tilth.base.errors import UserError, nearest
from tilth.cli.numbers import count, number, whole, within
from tilth.cli.options import path

if TYPE_CHECKING:
    from tilth.base.settings import Settings
    from tilth.laws.memory import StateBytes
    from tilth.laws.model_size import Shape
    from tilth.planning.budget import Budget
    from tilth.planning.cluster import Cluster

DEVICES, DAYS = 8, 7.0
"""Of the cluster that is planned for where none is named, and of the budget that is its time."""

LENGTH = 4096
"""Tokens of a sequence where nothing is said."""
NEVER_NONE = ("vocabulary", "hidden", "layers", "heads", "kv_heads", "head_dim")
"""Of a shape: what every decoder has some of."""
LARGEST = 10**9
"""Of any number in a shape that is still believed."""


def shape_named(model: str, assignments: list[str] | None = None) -> Shape:
    """Of a recipe, a published name, or a config.json (or the folder that holds one)."""
    if not model.strip():
        raise UserError("MODEL is empty", hint="a recipe (YAML), a published name such as Llama-3-8B or a config.json")
    if model.endswith((".yaml", ".yml")):
        from tilth.pipeline.forecast import shape_of_recipe
        from tilth.pipeline.recipe import load_recipe

        return shape_of_recipe(load_recipe(path(model), assignments))
    refuse_settings(assignments)
    from tilth.laws.architectures import PUBLISHED, published

    file = path(model) / "config.json" if path(model).is_dir() else path(model)
    if file.suffix == ".json":
        return _shape_of_config(file)
    found = published(model)
    if found is None:
        _refuse_a_number(model)
        hint = f"{nearest(model, PUBLISHED)} tilth plan size --help lists all; or give a .yaml or .json file"
        raise UserError(f"no published model is called {model!r}", hint=hint)
    return found


def length_named(model: str, assignments: list[str] | None, length: str | None) -> int:
    """Tokens of a sequence: as said, else the longest of a recipe's phases, else 4,096."""
    if length is not None:
        return whole("--length", length, high=1e7, example="4096", unit="tokens")
    if model.endswith((".yaml", ".yml")):
        from tilth.pipeline.forecast import length_of_recipe
        from tilth.pipeline.recipe import load_recipe

        return length_of_recipe(load_recipe(path(model), assignments)) or LENGTH
    return LENGTH


def _refuse_a_number(model: str) -> None:
    """A size is no shape: other commands take it."""
    try:
        number(model)
    except ValueError:
        return
    hint = "tilth plan cost 7B 140B takes a number of parameters, tilth plan scale a budget"
    raise UserError(f"MODEL {model} is a number; a recipe, a published name or a config.json is expected", hint=hint)


def _shape_of_config(file: Path) -> Shape:
    """A Hugging Face config.json; whatever is wrong with it is told by field."""
    from tilth.base.files import read_json
    from tilth.laws.architectures import shape_of

    where, expected = str(file), "a config.json as Hugging Face's is expected"
    try:
        if file.is_file() and not file.read_bytes().strip():
            raise UserError("the file is empty", where=where, hint=expected)
        config = read_json(file)
    except FileNotFoundError:
        raise UserError("there is no such file", where=where, hint=expected) from None
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or brackets without end
        raise UserError(f"is not JSON: {error}", where=where, hint=expected) from None
    if not isinstance(config, dict):
        raise UserError("holds no object of fields", where=where, hint=expected)
    try:
        shape = shape_of(config)
    except KeyError as error:
        raise UserError(f"{error.args[0]} is missing", where=where, hint=expected) from None
    except ValueError as error:
        raise UserError(str(error), where=where) from None
    except (TypeError, AttributeError, ZeroDivisionError):
        raise UserError("a size is not a number above 0", where=where, hint=expected) from None
    for field in fields(shape):
        value, least = getattr(shape, field.name), "above 0" if field.name in NEVER_NONE else "of at least 0"
        counts = field.type == "int" or (field.type == "int | None" and value is not None)
        if counts and not (type(value) is int and (field.name in NEVER_NONE) <= value <= LARGEST):
            most = f" and at most {LARGEST:g}" if type(value) is int and value > LARGEST else ""
            raise UserError(f"{field.name} is {value!r}: a whole number {least}{most} is expected", where=where)
    return shape


def refuse_settings(assignments: list[str] | None) -> None:
    """KEY=VALUE belongs to recipes."""
    if assignments:
        raise UserError(f"{assignments[0]} says nothing here", hint="KEY=VALUE changes a recipe's settings")


def states_named(text: str) -> StateBytes:
    """A known way of keeping states, or P/G/O bytes."""
    from tilth.laws.memory import STATE_BYTES, StateBytes

    if text in STATE_BYTES:
        return STATE_BYTES[text]
    try:
        parameter, gradient, optimizer = map(float, text.split("/"))
    except ValueError:
        raise UserError(
            f"expected P/G/O bytes such as 2/2/12, found {text!r}", where="--states", hint=nearest(text, STATE_BYTES)
        ) from None
    for one in (parameter, gradient, optimizer):
        within("--states", one, 0, 64, "2/2/12", unit="bytes")
    return StateBytes(parameter, gradient, optimizer)


def cluster_named(
    file: Path | None, devices: str | None, device: str | None, price: float | None, currency: str | None
) -> Cluster:
    """A cluster's file with what the options say instead; without a file eight of the usual devices."""
    from tilth.base.settings import Lines, load_yaml, validate
    from tilth.planning.cluster import USUAL_DEVICE, Cluster
    from tilth.planning.figures import CURRENCY

    if price is not None:
        within("--price-per-hour", price, 0, 1e6, "2.5", unit="a device")
    many = None if devices is None else whole("--devices", devices, high=1e7, example="8", unit="devices")
    data, lines = load_yaml(file) if file else ({"devices": DEVICES, "device": USUAL_DEVICE}, Lines())
    if not isinstance(data, dict):
        raise UserError("holds no settings", where=str(file), hint="write KEY: VALUE lines, as devices: 8")
    given = {"devices": many, "device": device, "price_per_hour": price, "currency": currency}
    theirs = str(data.get("currency", CURRENCY)).strip()
    if currency is not None and currency.strip() != theirs and price is None and data.get("price_per_hour"):
        said = f"--currency {currency}: the price in {file} is in {theirs}, and is not converted"
        raise UserError(said, hint="say --price-per-hour too")
    data = {**data, **{name: value for name, value in given.items() if value is not None}}
    return validate(Cluster, data, source=str(file) if file else "the cluster", lines=lines)


def assumed(file: Path | None, devices: str | None, device: str | None, *, days: bool = False) -> tuple[str, ...]:
    """A note on what was not said and is taken for granted: the cluster, and of a budget (`days`) its time."""
    from tilth.planning.cluster import USUAL_DEVICE

    missing = {
        "--devices": f"{DEVICES} devices" if file is None and devices is None else "",
        "--device": USUAL_DEVICE if file is None and device is None else "",
        "--days": f"{DAYS:g} days" if days else "",
    }
    said = {option: what for option, what in missing.items() if what}
    return (f"assumed, as nothing else was said: {', '.join(said.values())} ({', '.join(said)})",) if said else ()


def budget_named(flops: str | None, cluster: Cluster, days: float | None, utilisation: float | None) -> Budget:
    """The operations that are given, or those of a cluster in some days: one of the two."""
    from tilth.planning.budget import budget_given, budget_of, training_utilisation

    if utilisation is not None:
        within("--utilisation", utilisation, 0.01, 1, "0.4", unit="of the peak")
    reached = training_utilisation(cluster, utilisation)
    if flops is None:
        return budget_of(
            cluster, within("--days", DAYS if days is None else days, 1e-3, 36500, "7", unit="days"), reached
        )
    if days is not None:
        raise UserError("--flops is the budget itself, --days asks for the cluster's", hint="leave one of them out")
    asked = count("--flops", flops, low=1e12, high=1e32, example="1e21", unit="FLOP")
    return budget_given(asked, cluster, reached)


def served_at(budget: Budget, utilisation: float | None) -> Budget:
    """The budget, with what serving is said to reach."""
    from tilth.planning.budget import serving_utilisation

    if utilisation is not None:
        within("--serving-utilisation", utilisation, 1e-4, 1, "0.03", unit="of the peak")
    return replace(budget, serving=serving_utilisation(utilisation))


def tokens_there(unique: str | None) -> float | None:
    """Different tokens of text at hand."""
    return None if unique is None else count("--unique-tokens", unique, low=1e6, example="14B", unit="tokens")


def with_keys(
    title: str = "", settings: Callable[[], type[Settings]] | None = None, **names: Callable[[], Iterable[str]]
) -> type[TyperCommand]:
    """A command whose --help ends with lists of names that it knows, and with the keys of `settings`, their defaults
    and what they mean."""

    class Command(TyperCommand):
        def format_epilog(self, ctx: Any, formatter: Any) -> None:
            super().format_epilog(ctx, formatter)
            for what, known in names.items():
                with formatter.section(f"Known {what}"):
                    formatter.write_text(", ".join(known()))
            if settings:
                with formatter.section(title):
                    formatter.write_dl([_key(name, field) for name, field in settings().model_fields.items()])

    return Command


def _key(name: str, field: Any) -> tuple[str, str]:
    value = None if field.is_required() else field.default
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, int):
        value = f"{value:_}"
    elif isinstance(value, float):
        value = f"{value:g}"
    return name if value is None else f"{name}={value}", field.description or ""


def needs() -> type[Settings]:
    """What `plan buy` asks."""
    from tilth.planning.buy import Needs

    return Needs


def published_models() -> Iterable[str]:
    """Names of shapes."""
    from tilth.laws.architectures import PUBLISHED

    return PUBLISHED


def known_devices() -> Iterable[str]:
    """Names of accelerators."""
    from tilth.planning.cluster import DEVICES

    return DEVICES


def cluster_keys() -> type[Settings]:
    """What a cluster's file may say."""
    from tilth.planning.cluster import Cluster

    return Cluster
