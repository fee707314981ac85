"""`tilth plan`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilth.base.errors import UserError
from tilth.cli.numbers import count, whole, within
from tilth.cli.options import Assignments, JsonOption, path
from tilth.cli.plan_inputs import (
    assumed,
    budget_named,
    cluster_keys,
    cluster_named,
    known_devices,
    length_named,
    needs,
    published_models,
    served_at,
    shape_named,
    states_named,
    tokens_there,
    with_keys,
)
from tilth.cli.result_files import check_files, draw
from tilth.laws.choices import Constants

if TYPE_CHECKING:
    from tilth.planning.figures import Report

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A recipe (YAML), a published name (Llama-3-8B) or a config.json.")
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Below each figure its formula, with the numbers, and source.")
]
Plot = Annotated[Path | None, typer.Option(parser=path, metavar="FILE.svg", help="Draw it as well.")]
Length = Annotated[
    str | None, typer.Option(metavar="TOKENS", help="Tokens of a sequence.  [default: 4096, or the recipe's longest]")
]
ClusterOption = Annotated[
    Path | None, typer.Option(parser=path, metavar="FILE.yaml", help="The cluster as a YAML file; keys below.")
]
Devices = Annotated[str | None, typer.Option(metavar="COUNT", help="How many devices.  [default: 8, or the file's]")]
DeviceName = Annotated[
    str | None, typer.Option(help="Which, for example A100-80G.  [default: H100-80G, or the file's]")
]
Price = Annotated[
    float | None, typer.Option(help="Of a device, an hour.  [default: the file's, else 0: no cost is shown]")
]
Currency = Annotated[str | None, typer.Option(help="Of the price, for example CNY.  [default: the file's, else USD]")]
Logits = Annotated[float, typer.Option(help="k of k B T V: 4, 12, or 0 with a chunked head.")]
Law = Annotated[Constants, typer.Option(help="Constants of the scaling law.")]
States = Annotated[
    str,
    typer.Option(help="Bytes a parameter: mixed 2/2/12, autocast 4/4/8, fp32_gradients 2/4/12, muon 4/4/4; or P/G/O."),
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    plan = typer.Typer(help="Plan a model before training it.", no_args_is_help=True, rich_markup_mode=None)
    keys = "Keys of a cluster's file"
    models, cluster = with_keys(models=published_models), with_keys(keys, cluster_keys, devices=known_devices)
    both = with_keys(keys, cluster_keys, models=published_models, devices=known_devices)
    plan.command("size", cls=models)(size)
    plan.command("memory", cls=models)(memory)
    plan.command("layout", cls=both)(layout)
    plan.command("scale", cls=cluster)(scale)
    plan.command("cost", cls=cluster)(cost)
    plan.command("buy", cls=with_keys("Keys, with their defaults (money in the currency)", needs))(buy)
    plan.callback()(lambda: None)
    app.add_typer(plan, name="plan")


def size(
    model: ModelArgument, assignments: Assignments = None, *, length: Length = None, explain: Explain = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Parameters and FLOPs of a model, and of a recipe the memory of its phases, by formula; nothing is read or run.

    Example:

        tilth plan size recipes/quickstart.yaml model.layers=8

        tilth plan size Llama-3-8B --explain
    """
    from tilth.planning.size_plan import size_report

    report = size_report(model, shape_named(model, assignments), length_named(model, assignments, length))
    if model.endswith((".yaml", ".yml")):
        from tilth.pipeline.forecast import phase_figures
        from tilth.pipeline.recipe import load_recipe

        phases = phase_figures(load_recipe(path(model), assignments))
        report = replace(report, figures=(*report.figures, *phases))
    _tell(report, explain, as_json)


def memory(
    model: ModelArgument, assignments: Assignments = None, *, length: Length = None,
    micro_batch: Annotated[str, typer.Option(metavar="COUNT", help="Sequences of one forward.")] = "1",
    ranks: Annotated[str, typer.Option(metavar="COUNT", help="Devices that ZeRO shares the states among.")] = "8",
    states: States = "mixed",
    logits: Logits = 4.0,
    explain: Explain = False, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Memory of training on each device: model states under ZeRO 0 to 3, activations, logits.

    Example:

        tilth plan memory LLaMA-7B --micro-batch 1 --length 2048 --ranks 64 --states mixed
    """
    from tilth.planning.memory_plan import memory_report

    rows = whole("--micro-batch", micro_batch, high=4096, example="1", unit="sequences")
    shared = whole("--ranks", ranks, high=1e7, example="8", unit="devices")
    report = memory_report(model, shape_named(model, assignments), states_named(states), micro_batch=rows,
                           length=length_named(model, assignments, length), ranks=shared, k=_k(logits))  # fmt: skip
    _tell(report, explain, as_json)


def layout(
    model: ModelArgument, assignments: Assignments = None, *, cluster: ClusterOption = None, devices: Devices = None,
    device: DeviceName = None, price_per_hour: Price = None, currency: Currency = None,
    tokens: Annotated[str, typer.Option(help="To train on in all.")] = "100B",
    batch: Annotated[str, typer.Option(help="Tokens of a step.")] = "4Mi",
    length: Length = None, states: States = "mixed",
    logits: Logits = 4.0,
    every: Annotated[bool, typer.Option("--all", help="List every layout with its verdict.")] = False,
    explain: Explain = False, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """The layout for a model on a cluster: ZeRO, tensor and pipeline parallel; step time, MFU, cost, failures.

    A cluster that cannot hold the model gets the nearest one that can, named as such, and exit status 2.

    Example:

        tilth plan layout Llama-3-8B --devices 16 --device A100-80G --tokens 100B --price-per-hour 2
    """
    from tilth.planning.layout import Task
    from tilth.planning.layout_plan import layout_report

    step = count("--batch", batch, high=1e12, example="4Mi", unit="tokens")
    shape, sequence = shape_named(model, assignments), length_named(model, assignments, length)
    if step < sequence:
        hint = f"for example --batch {sequence}, or a shorter --length"
        raise UserError(f"--batch {step:g}: a step holds at least one sequence of --length {sequence}", hint=hint)
    total = count("--tokens", tokens, low=1e3, example="100B", unit="tokens")
    task = Task(shape, sequence, int(step), total, states_named(states), _k(logits))
    where = cluster_named(cluster, devices, device, price_per_hour, currency)
    report = layout_report(model, task, where, every=every)
    _tell(report, explain, as_json, assumed(cluster, devices, device))
    if not report.facts["fits"]:
        raise typer.Exit(UserError.exit_code)


def _k(logits: float) -> float:
    return within("--logits", logits, 0, 64, "4", unit="bytes")


Days = Annotated[float | None, typer.Option(help="Of the cluster.  [default: 7]")]
UniqueTokens = Annotated[str | None, typer.Option(help="Tokens of text that there are; more are repeats.")]
Utilisation = Annotated[
    float | None,
    typer.Option(
        help="Share of the devices' peak that training reaches, counted as 6 N D.  [default: 0.4; of a cluster whose "
        "file says its efficiency, as much less or more]"
    ),
]
ServingUtilisation = Annotated[
    float | None,
    typer.Option(help="Share that serving reaches, counted as 2 N a token, as in plan buy.  [default: 0.03]"),
]


def scale(
    *, flops: Annotated[
        str | None, typer.Option(metavar="FLOP", help="The budget itself, instead of a cluster's, as 1e21.")
    ] = None,
    cluster: ClusterOption = None, devices: Devices = None, device: DeviceName = None, price_per_hour: Price = None,
    currency: Currency = None,
    days: Days = None, utilisation: Utilisation = None,
    unique_tokens: UniqueTokens = None, law: Law = "chinchilla", explain: Explain = False, plot: Plot = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Size and tokens for a budget, what repeated epochs are worth, and the ladder from a pilot to the run.

    Example:

        tilth plan scale --devices 8 --device H100-80G --days 7 --unique-tokens 14B
    """
    from tilth.planning.scale_plan import scale_report

    check_files(None, plot)
    unique = tokens_there(unique_tokens)
    budget = budget_named(flops, cluster_named(cluster, devices, device, price_per_hour, currency), days, utilisation)
    if plot:
        from tilth.planning.curves import loss_by_size

        draw(plot, loss_by_size(law, budget.flops, unique))
    unsaid = assumed(cluster, devices, device, days=flops is None and days is None)
    _tell(scale_report(budget, law, unique), explain, as_json, unsaid)


def cost(
    parameters: Annotated[str, typer.Argument(metavar="PARAMETERS", help="Of the model, for example 7B.")],
    tokens: Annotated[str, typer.Argument(metavar="TOKENS", help="To train on, for example 140B.")],
    *, served: Annotated[str, typer.Option(help="Tokens read and written over the model's life.")] = "1T",
    cluster: ClusterOption = None, devices: Devices = None, device: DeviceName = None, price_per_hour: Price = None,
    currency: Currency = None,
    utilisation: Utilisation = None, serving_utilisation: ServingUtilisation = None,
    unique_tokens: UniqueTokens = None, law: Law = "chinchilla", explain: Explain = False, plot: Plot = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Training plus serving: what both cost, and the size that reaches the same loss most cheaply over its life.

    Example:

        tilth plan cost 7B 140B --served 2T --device H100-80G --price-per-hour 2.5
    """
    from tilth.laws.allocation import Allocation
    from tilth.laws.counting import Counting
    from tilth.planning.cost_plan import cost_report

    check_files(None, plot)
    size = count("PARAMETERS", parameters, low=1e4, high=1e15, example="7B", unit="parameters")
    one = Allocation(size, count("TOKENS", tokens, low=1e6, example="140B", unit="tokens"), Counting.ALL)
    life = count("--served", served, low=0, example="1T", unit="tokens")
    unique = tokens_there(unique_tokens)
    where = cluster_named(cluster, devices, device, price_per_hour, currency)
    budget = served_at(budget_named(None, where, 1.0, utilisation), serving_utilisation)
    if plot:
        from tilth.planning.curves import life_by_size

        draw(plot, life_by_size(law, one, life, unique, budget))
    _tell(cost_report(one, budget, law, life, unique), explain, as_json, assumed(cluster, devices, device))


NeedsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="NEEDS.yaml|KEY=VALUE", help="What is needed: a file, settings, or both.")
]


def buy(
    given: NeedsArgument = None, *, explain: Explain = False, plot: Plot = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Build or buy: prompts, retrieval and a few examples first; then an API, a continued model, or one from scratch.

    Example:

        tilth plan buy requests_per_month=2M wanted=0.95

        tilth plan buy needs.yaml private=true --explain
    """
    from tilth.base.settings import Lines, load_yaml, override, validate
    from tilth.planning.buy import Needs, buy_report

    check_files(None, plot)
    words = list(given or [])
    file = path(words.pop(0)) if words and words[0] and "=" not in words[0] else None
    if file and str(file) in Needs.model_fields and not file.exists():
        raise UserError(f"{file} has no value", hint=f"write {file}=…, or name a file")
    data, lines = load_yaml(file) if file else ({}, Lines())
    if not isinstance(data, dict):
        raise UserError("holds no settings", where=str(file), hint="write KEY: VALUE lines; tilth plan buy --help")
    names = [word.partition("=")[0] for word in words]
    for word, name in zip(words, names, strict=True):
        if not name or "=" not in word:
            raise UserError(f"expected KEY=VALUE, found {word!r}", hint="for example months=24; a file comes first")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"{twice[0]} is set twice", where="plan buy", hint="leave one of them out")
    data = override(data, words, lines)
    asked = validate(Needs, data, source=str(file) if file else "plan buy", lines=lines)
    if plot:
        from tilth.planning.curves import cost_by_volume

        draw(plot, cost_by_volume(asked))
    _tell(buy_report(asked), explain, as_json)


def _tell(report: Report, explain: bool, as_json: bool, unsaid: tuple[str, ...] = ()) -> None:
    """Print a report, with a note on what was `unsaid` and assumed."""
    from tilth.base.files import strict_json

    report = replace(report, notes=(*report.notes, *unsaid))
    if as_json:
        print(strict_json(report.as_json()))
    else:
        print(report.as_text(explain=explain))
