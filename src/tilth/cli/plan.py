"""`tilth plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tilth.base.errors import UserError, nearest
from tilth.cli.options import Assignments, JsonOption, path

if TYPE_CHECKING:
    from tilth.laws.model_size import Shape
    from tilth.planning.cluster import Cluster
    from tilth.planning.figures import Report

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A recipe (YAML), a published name (Llama-3-8B) or a config.json.")
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Below each figure its formula, with the numbers, and source.")
]
Plot = Annotated[Path | None, typer.Option(parser=path, metavar="FILE.svg", help="Draw it as well.")]
Length = Annotated[int, typer.Option(min=1, help="Tokens of a sequence.")]
ClusterOption = Annotated[Path | None, typer.Option(parser=path, help="The cluster as a YAML file.")]
Devices = Annotated[int | None, typer.Option(min=1, help="How many devices.")]
DeviceName = Annotated[str | None, typer.Option(help="Which, for example A100-80G or H100-80G.")]
Price = Annotated[float | None, typer.Option(min=0, help="Of a device.")]
Law = Annotated[Literal["chinchilla", "hoffmann", "muennighoff"], typer.Option(help="Constants of the scaling law.")]
States = Annotated[
    str,
    typer.Option(help="Bytes a parameter: mixed 2/2/12, autocast 4/4/8, fp32_gradients 2/4/12, muon 4/4/4; or P/G/O."),
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    plan = typer.Typer(help="Plan a model before training it.", no_args_is_help=True, rich_markup_mode=None)
    for command in (size, memory, layout, scale, cost, buy):
        plan.command(command.__name__)(command)
    plan.callback()(lambda: None)
    app.add_typer(plan, name="plan")


def size(
    model: ModelArgument, assignments: Assignments = None, *, length: Length = 4096, explain: Explain = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Parameters, FLOPs and memory of a recipe's or a published model, by formula; nothing is read or run.

    Example:

        tilth plan size recipes/quickstart.yaml model.layers=8

        tilth plan size Llama-3-8B --explain
    """
    from tilth.planning.size_plan import size_report

    if not model.endswith((".yaml", ".yml")):
        _refuse(assignments)
        _tell(size_report(model, _shape(model), length), explain, as_json)
        return
    from tilth.pipeline.forecast import size_of
    from tilth.pipeline.recipe import load_recipe

    facts = size_of(load_recipe(path(model), assignments))
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        print(f"{name:<34} {value:,.0f}")


def memory(
    model: ModelArgument, assignments: Assignments = None, *, length: Length = 2048,
    micro_batch: Annotated[int, typer.Option(min=1, help="Sequences of one forward.")] = 1,
    ranks: Annotated[int, typer.Option(min=1, help="Devices that ZeRO shares the states among.")] = 8,
    states: States = "mixed",
    logits: Annotated[float, typer.Option(min=0, help="k of k B T V: 4, 12, or 0 with a chunked head.")] = 4.0,
    explain: Explain = False, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Memory of training on each device: model states under ZeRO 0 to 3, activations, logits.

    Example:

        tilth plan memory LLaMA-7B --micro-batch 1 --length 2048 --ranks 64 --states mixed
    """
    from tilth.planning.memory_plan import memory_report

    report = memory_report(model, _shape(model, assignments), _states(states), micro_batch=micro_batch,
                           length=length, ranks=ranks, k=logits)  # fmt: skip
    _tell(report, explain, as_json)


def layout(
    model: ModelArgument, assignments: Assignments = None, *, cluster: ClusterOption = None, devices: Devices = None,
    device: DeviceName = None, price_per_hour: Price = None,
    tokens: Annotated[str, typer.Option(help="To train on in all.")] = "100B",
    batch: Annotated[str, typer.Option(help="Tokens of a step.")] = "4Mi",
    length: Length = 4096, states: States = "mixed",
    logits: Annotated[float, typer.Option(min=0, help="k of k B T V: 4, 12, or 0 with a chunked head.")] = 4.0,
    every: Annotated[bool, typer.Option("--all", help="List every layout with its verdict.")] = False,
    explain: Explain = False, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """The layout for a model on a cluster: ZeRO, tensor and pipeline parallel; step time, MFU, cost, failures.

    Example:

        tilth plan layout Llama-3-8B --devices 16 --device A100-80G --tokens 100B --price-per-hour 2
    """
    from tilth.planning.layout import Task
    from tilth.planning.layout_plan import layout_report

    task = Task(_shape(model, assignments), length, int(_count("--batch", batch)), _count("--tokens", tokens),
                _states(states), logits)  # fmt: skip
    _tell(layout_report(model, task, _cluster(cluster, devices, device, price_per_hour), every=every), explain, as_json)


Days = Annotated[float, typer.Option(min=0.001, help="Of the cluster.")]
Utilisation = Annotated[float, typer.Option(min=0.01, max=1, help="Share of the devices' peak that training reaches.")]


def scale(
    *, flops: Annotated[float | None, typer.Option(min=1, help="The budget itself.")] = None,
    cluster: ClusterOption = None, devices: Devices = None, device: DeviceName = None, price_per_hour: Price = None,
    days: Days = 7.0, utilisation: Utilisation = 0.4,
    unique_tokens: Annotated[str | None, typer.Option(help="Tokens of text that there are; more are repeats.")] = None,
    law: Law = "chinchilla", explain: Explain = False, plot: Plot = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Size and tokens for a budget, what repeated epochs are worth, and the ladder from a pilot to the run.

    Example:

        tilth plan scale --devices 8 --device H100-80G --days 7 --unique-tokens 14B
    """
    from tilth.planning.scale_plan import scale_report

    unique = _count("--unique-tokens", unique_tokens) if unique_tokens else None
    budget = _budget(flops, cluster, devices, device, price_per_hour, days, utilisation)
    if plot:
        _plot_scale(plot, budget.flops, law, unique)
    _tell(scale_report(budget, law, unique), explain, as_json)


def cost(
    parameters: Annotated[str, typer.Argument(metavar="PARAMETERS", help="Of the model, for example 7B.")],
    tokens: Annotated[str, typer.Argument(metavar="TOKENS", help="To train on, for example 140B.")],
    *, served: Annotated[str, typer.Option(help="Tokens read and written over the model's life.")] = "1T",
    cluster: ClusterOption = None, devices: Devices = None, device: DeviceName = None, price_per_hour: Price = None,
    utilisation: Utilisation = 0.4, law: Law = "chinchilla", explain: Explain = False, plot: Plot = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Training plus serving: what both cost, and the size that reaches the same loss most cheaply over its life.

    Example:

        tilth plan cost 7B 140B --served 2T --device H100-80G --price-per-hour 2.5
    """
    from tilth.laws.counting import Counting
    from tilth.laws.kaplan import Allocation
    from tilth.planning.cost_plan import cost_report

    one = Allocation(_count("PARAMETERS", parameters), _count("TOKENS", tokens), Counting.ALL)
    life = _count("--served", served)
    budget = _budget(None, cluster, devices or 1, device or "H100-80G", price_per_hour, 1.0, utilisation)
    if plot:
        _plot_cost(plot, one, law, life)
    _tell(cost_report(one, budget, law, life), explain, as_json)


def buy(
    needs: Annotated[Path | None, typer.Argument(metavar="[NEEDS.yaml]", parser=path, help="What is needed.")] = None,
    assignments: Assignments = None, *, explain: Explain = False, plot: Plot = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Build or buy: prompts, retrieval and a few examples first; then an API, a continued model, or one from scratch.

    Example:

        tilth plan buy requests_per_month=2M wanted=0.95

        tilth plan buy needs.yaml private=true --explain
    """
    from tilth.base.settings import Lines, load_yaml, override, validate
    from tilth.planning.buy import Needs, buy_report

    given = list(assignments or [])
    if needs is not None and "=" in str(needs):
        given, needs = [str(needs), *given], None
    data, lines = load_yaml(needs) if needs else ({}, Lines())
    data = override(data, given, lines)
    asked = validate(Needs, data, source=str(needs) if needs else "plan buy", lines=lines)
    if plot:
        _plot_buy(plot, asked)
    _tell(buy_report(asked), explain, as_json)


def _tell(report: Report, explain: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False).replace("Infinity", "null"))
    else:
        print(report.as_text(explain=explain))


def _shape(model: str, assignments: list[str] | None = None) -> Shape:
    """Of a recipe, a published name, or a config.json (or the folder that holds one)."""
    if model.endswith((".yaml", ".yml")):
        from tilth.pipeline.forecast import shape_of_recipe
        from tilth.pipeline.recipe import load_recipe

        return shape_of_recipe(load_recipe(path(model), assignments))
    _refuse(assignments)
    from tilth.laws.architectures import PUBLISHED, published, shape_of

    file = path(model) / "config.json" if path(model).is_dir() else path(model)
    if file.suffix == ".json":
        from tilth.base.files import read_json

        try:
            return shape_of(read_json(file))
        except FileNotFoundError:
            raise UserError("there is no such file", where=str(file)) from None
        except KeyError as error:
            raise UserError(f"{error.args[0]} is missing", where=str(file)) from None
        except ValueError as error:
            raise UserError(str(error), where=str(file)) from None
    found = published(model)
    if found is None:
        raise UserError(f"no published model is called {model!r}", hint=nearest(model, PUBLISHED))
    return found


def _refuse(assignments: list[str] | None) -> None:
    if assignments:
        raise UserError(f"{assignments[0]} says nothing here", hint="KEY=VALUE changes a recipe's settings")


def _count(name: str, value: str) -> float:
    from tilth.base.settings import parse_count

    try:
        return float(parse_count(value))
    except ValueError as error:
        raise UserError(str(error), where=name) from None


def _states(text: str) -> Any:
    from tilth.laws.memory import STATE_BYTES, StateBytes

    if text in STATE_BYTES:
        return STATE_BYTES[text]
    try:
        parameter, gradient, optimizer = map(float, text.split("/"))
    except ValueError:
        raise UserError(
            f"expected P/G/O bytes such as 2/2/12, found {text!r}", where="--states", hint=nearest(text, STATE_BYTES)
        ) from None
    return StateBytes(parameter, gradient, optimizer)


def _cluster(file: Path | None, devices: int | None, device: str | None, price: float | None) -> Cluster:
    from tilth.base.settings import Lines, load_yaml, validate
    from tilth.planning.cluster import Cluster

    data, lines = load_yaml(file) if file else ({"devices": 8, "device": "H100-80G"}, Lines())
    given = {"devices": devices, "device": device, "price_per_hour": price}
    data = {**data, **{name: value for name, value in given.items() if value is not None}}
    return validate(Cluster, data, source=str(file) if file else "the cluster", lines=lines)


def _budget(
    flops: float | None, file: Path | None, devices: int | None, device: str | None, price: float | None, days: float,
    utilisation: float,
) -> Any:  # fmt: skip
    from tilth.planning.scale_plan import Budget, budget_of

    if flops is not None:
        return Budget(flops, "as given")
    return budget_of(_cluster(file, devices, device, price), days, utilisation)


def _draw(file: Path, chart: str) -> None:
    """The chart as a file of its own."""
    from tilth.base.files import atomic_file
    from tilth.planning.drawing import standalone

    if file.suffix != ".svg":
        raise UserError(f"{file} does not end in .svg", where="--plot")
    with atomic_file(file) as aside:
        aside.write_text(standalone(chart), encoding="utf-8")


def _plot_scale(file: Path, flops: float, law: str, unique: float | None) -> None:
    from tilth.planning.drawing import loss_by_size
    from tilth.reports.svg import line_chart

    _draw(file, line_chart(loss_by_size(law, flops, unique), "log10 parameters", "loss, nats a token"))


def _plot_cost(file: Path, one: Any, law: str, served: float) -> None:
    from tilth.planning.drawing import life_by_size
    from tilth.reports.svg import line_chart

    _draw(file, line_chart(life_by_size(law, one, served), "log10 parameters", "log10 FLOP over the model's life"))


def _plot_buy(file: Path, needs: Any) -> None:
    from tilth.planning.drawing import cost_by_volume
    from tilth.reports.svg import line_chart

    _draw(file, line_chart(cost_by_volume(needs), "requests a month", f"cost over {needs.months:g} months"))
