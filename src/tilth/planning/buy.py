"""Build or buy: an API with prompts and retrieval, an open model continued, one from scratch; where they break even."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from pydantic import ConfigDict, Field

from tilth.base.settings import Settings
from tilth.laws.flops import serving_flops, training_flops
from tilth.planning.budget import (
    COUNTED,
    SERVING_UTILISATION,
    UTILISATION,
    Budget,
    Utilisation,
    serving_utilisation,
)
from tilth.planning.cluster import DEVICES, USUAL_DEVICE, Cluster
from tilth.planning.figures import CURRENCY, Figure, Report, Table
from tilth.planning.ranges import Bytes, Currency, Flops, Number, Parameters, Price, Tokens

MOST_REQUESTS, MOST_DEVICES = 1e15, 1e15
"""A month, and to serve them: a break-even beyond is none."""
WEIGHTS_SHARE = 0.8
"""Of a serving device's memory, for half-precision weights; the rest holds what is cached of the requests."""
HOURS = 720
"""Of a month of 30 days."""
OWN: dict[str, Literal["continue", "scratch"]] = {"continued": "continue", "from scratch": "scratch"}
"""The own models, by what a break-even with the API calls them."""
GIVEN = "keys of tilth plan buy, given or assumed: tilth plan buy --help"


class Needs(Settings):
    """What is asked for, and what things cost; money in one currency throughout."""

    model_config = ConfigDict(allow_inf_nan=False)

    currency: Currency = Field(default=CURRENCY, description="of every price")
    requests_per_month: Number = Field(default=100_000, ge=0, le=10**12, description="to the model")
    tokens_in: Number = Field(
        default=1500, ge=0, le=10**8, description="of a request: question, instructions, retrieved passages"
    )
    tokens_out: Number = Field(default=400, ge=0, le=10**8, description="of its answer")
    months: float = Field(default=24, ge=0.1, le=1200, description="over which the choice is judged")
    api_in: Price = Field(default=2.0, description="price of a million tokens read by the API")
    api_out: Price = Field(default=8.0, description="price of a million tokens written by the API")
    share_solved: float = Field(
        default=0.8, ge=0, le=1, description="of requests that prompts, retrieval and a few hundred SFT examples answer"
    )
    wanted: float = Field(default=0.8, ge=0, le=1, description="share of requests that must be answered well")
    prompts_cost: Price = Field(default=5_000, description="prompts and an evaluation set")
    retrieval_cost: Price = Field(default=15_000, description="an index over the team's own texts")
    examples: Number = Field(default=500, ge=0, le=10**9, description="SFT examples that are written")
    example_cost: Price = Field(default=10, description="of one")
    parameters: Parameters = Field(
        default=8_000_000_000, description="of the own model, continued or from scratch: its training and its serving"
    )
    continue_tokens: Tokens = Field(default=10_000_000_000, description="of domain text and replay")
    scratch_tokens: Tokens = Field(default=160_000_000_000, description="to train such a model from nothing")
    device_flops: Flops = Field(
        default=DEVICES[USUAL_DEVICE].flops, description=f"dense half-precision FLOP/s of a device (of {USUAL_DEVICE})"
    )
    device_memory: Bytes = Field(
        default=int(DEVICES[USUAL_DEVICE].memory), description=f"bytes of a device (of {USUAL_DEVICE})"
    )
    utilisation: float = Field(
        default=UTILISATION, ge=0.01, le=1, description="share of the FLOP/s that training reaches, counted as 6 N D"
    )
    price_per_hour: Price = Field(default=2.5, description="of a device")
    serving_devices: Number = Field(default=2, ge=1, le=10**7, description="kept running for an own model, at least")
    serving_utilisation: float = Field(
        default=SERVING_UTILISATION,
        ge=1e-4,
        le=1,
        description="share of the FLOP/s that serving reaches, counted as 2 N a token",
    )
    device_tokens_per_second: float | None = Field(
        default=None, gt=0, le=1e9, description="that a device serves, read and written, if measured"
    )
    peak: float = Field(default=3, ge=1, le=1000, description="requests of the busiest hour against the mean hour")
    staff_continue: Price = Field(default=60_000, description="data, training and evaluation of a continued model")
    staff_scratch: Price = Field(default=400_000, description="the same of a model from scratch")
    upkeep_per_month: Price = Field(default=3_000, description="of people, for an own model")
    private: bool = Field(default=False, description="texts may not leave the house")


PRICES = [name for name, field in Needs.model_fields.items() if get_args(Price)[1] in field.metadata]
"""Keys that are money."""


@dataclass(frozen=True)
class Way:
    """One of the ways: what it costs once, and by the month at the asked volume."""

    name: str
    once: float
    by_month: float
    by_request: float
    """Of it, what grows with each request."""

    def over(self, months: float) -> float:
        """Once and by the month."""
        return self.once + self.by_month * months


def ways(needs: Needs) -> dict[str, Way]:
    """`api`, `continue`, `scratch`."""
    easy = needs.prompts_cost + needs.retrieval_cost + needs.examples * needs.example_cost
    request = (needs.tokens_in * needs.api_in + needs.tokens_out * needs.api_out) / 1e6
    fixed = own_serving(needs) + needs.upkeep_per_month
    volume = needs.requests_per_month
    tuned = easy + needs.staff_continue + training_cost(needs, needs.continue_tokens)
    scratch = easy + needs.staff_scratch + training_cost(needs, needs.scratch_tokens)
    return {
        "api": Way("call an API", easy, request * volume, request),
        "continue": Way("continue an open model", tuned, fixed, 0.0),
        "scratch": Way("build from scratch", scratch, fixed, 0.0),
    }


def rented(needs: Needs) -> Budget:
    """The devices that train and serve, at their price: what operations cost there."""
    share = needs.serving_utilisation if "serving_utilisation" in needs.model_fields_set else None
    cluster = Cluster(
        devices=needs.serving_devices,
        flops=needs.device_flops,
        memory=needs.device_memory,
        price_per_hour=needs.price_per_hour,
        currency=needs.currency,
    )
    return Budget(0.0, "none", cluster, Utilisation(needs.utilisation), serving_utilisation(share))


def training_cost(needs: Needs, tokens: float) -> float:
    """Of 6 N D, at the devices' price."""
    return rented(needs).price(training_flops(needs.parameters, tokens))


def tokens_per_second(needs: Needs) -> float:
    """Of a device that serves: as measured, else FLOP/s x utilisation / 2 N (Kaplan et al. 2020, section 2.1)."""
    if needs.device_tokens_per_second is not None:
        return needs.device_tokens_per_second
    return needs.device_flops * needs.serving_utilisation / serving_flops(needs.parameters, 1)


def requests_served(needs: Needs) -> float:
    """A month, by a device that is busy in the busiest hour and idle by `peak` in the mean."""
    return tokens_per_second(needs) * 3600 * HOURS / needs.peak / max(1, needs.tokens_in + needs.tokens_out)


def least_devices(needs: Needs) -> int:
    """As many as are kept, and as hold the weights: 2 N bytes in the share of the memory that caches leave."""
    return max(needs.serving_devices, math.ceil(2.0 * needs.parameters / (WEIGHTS_SHARE * needs.device_memory)))


def serving_devices(needs: Needs) -> int:
    """As many as the busiest hour needs, `peak` times the mean, and no fewer than the least."""
    return max(least_devices(needs), math.ceil(needs.peak * mean_rate(needs) / tokens_per_second(needs)))


def mean_rate(needs: Needs) -> float:
    """Tokens a second, read and written, in the mean over a month."""
    return needs.requests_per_month * (needs.tokens_in + needs.tokens_out) / (3600 * HOURS)


def own_serving(needs: Needs) -> float:
    """By the month: devices x 720 h x price."""
    return serving_devices(needs) * HOURS * needs.price_per_hour


def break_even(needs: Needs, own: Literal["continue", "scratch"]) -> float:
    """The first volume, in requests a month, at which an own model costs no more than the API over `months`; infinity
    where it never does. Just behind a step to one more device it may cost more again.

    (once_own − once_api) / months + upkeep + devices x 720 h x price = requests x price of one. Devices are whole, and
    each serves so many requests: the break-even has the least number that pays for itself with what it can serve.
    """
    both = ways(needs)
    price = both["api"].by_request
    if not price:
        return math.inf
    fixed = ((both[own].once - both["api"].once) / needs.months + needs.upkeep_per_month) / price
    device = HOURS * needs.price_per_hour / price
    serves = requests_served(needs)
    devices = least_devices(needs)
    if fixed + devices * device > devices * serves:
        if serves - device <= fixed / MOST_DEVICES:
            return math.inf
        devices = math.ceil(fixed / (serves - device))
    found = fixed + devices * device
    return found if found <= MOST_REQUESTS else math.inf


def recommend(needs: Needs) -> str:
    """`easy` (an API with prompts, retrieval and examples), `continue` or `scratch`: the cheapest that is allowed and
    good enough; of equals the simpler."""
    own = needs.private or needs.wanted > needs.share_solved
    allowed = {key: way.over(needs.months) for key, way in ways(needs).items() if not (own and key == "api")}
    best = min(allowed, key=lambda key: allowed[key])
    return "easy" if best == "api" else best


SENTENCES = {
    "easy": "Stay with an API: write prompts, add retrieval and {examples} examples; they answer {solved:.0%}, "
    "and {wanted:.0%} of requests are to be answered well.",
    "continue": "Do the easy part first, then continue an open model: {why}.",
    "scratch": "Do the easy part first; then building from scratch is the cheapest way that is allowed: {why}.",
}


def buy_report(needs: Needs) -> Report:
    """The recommendation with its arithmetic."""
    found = ways(needs)
    control = {
        "api": ("the provider's", "texts leave the house"),
        "continue": ("weights are yours", "stays in the house"),
        "scratch": ("everything is yours", "stays in the house"),
    }
    rows = tuple(
        (way.name, way.once, way.by_month, way.over(needs.months), *control[key]) for key, way in found.items()
    )
    columns = ("way", "once", "a month", f"over {needs.months:g} months", "control", "privacy")
    notes = (
        "Ask before training: are fifty requests with expected answers written down? May the texts leave the house?",
        "Who updates the model when the facts change: retrieval is renewed in an hour, weights in days.",
        *_unconverted(needs),
    )
    why = Figure("recommendation", _sentence(needs), "", "the cheapest way that is allowed and good enough", GIVEN)
    figures = (why, *_prices(needs, found["api"]), *_break_evens(needs, found))
    table = Table("Ways", columns, rows, dict.fromkeys(columns[1:4], needs.currency))
    return Report("Build or buy", figures, (table,), notes, facts={"currency": needs.currency})


def _unconverted(needs: Needs) -> tuple[str, ...]:
    """A note where the defaults, which are in dollars, are taken for another currency."""
    missing = [name for name in PRICES if name not in needs.model_fields_set]
    if needs.currency == CURRENCY or not missing:
        return ()
    return (f"defaults meant as {CURRENCY} are taken as {needs.currency}, not converted: {', '.join(missing)}",)


def _sentence(needs: Needs) -> str:
    """The recommendation in words."""
    why = (
        "texts may not leave the house"
        if needs.private
        else f"{needs.wanted:.0%} of requests must be answered well, the easy part answers {needs.share_solved:.0%}"
        if needs.wanted > needs.share_solved
        else "at this volume it costs less than the API"
    )
    words = {"examples": needs.examples, "solved": needs.share_solved, "wanted": needs.wanted, "why": why}
    return SENTENCES[recommend(needs)].format(**words)


def _prices(needs: Needs, api: Way) -> list[Figure]:
    """What the parts cost."""
    easy = f"{needs.prompts_cost:,.0f} prompts + {needs.retrieval_cost:,.0f} retrieval + "
    easy += f"{needs.examples} examples x {needs.example_cost:g}"
    request = f"({needs.tokens_in} x {needs.api_in:g} + {needs.tokens_out} x {needs.api_out:g}) / 1e6"
    once = f"{needs.currency} once"
    return [
        Figure("the easy part", api.once, once, easy, GIVEN),
        Figure("a request by API", api.by_request, needs.currency, request, f"prices of a million tokens; {GIVEN}"),
        _trained(needs, "training to continue", needs.continue_tokens),
        _trained(needs, "training from scratch", needs.scratch_tokens),
        *_served(needs),
    ]


def _trained(needs: Needs, name: str, tokens: float) -> Figure:
    """What training on so many tokens costs."""
    cost = rented(needs).cost(name, training_flops(needs.parameters, tokens))
    source = f"C = 6 N D = 6 x {needs.parameters:.4g} x {tokens:.4g}, Kaplan et al. 2020, section 2.1; "
    return replace(cost, unit=f"{needs.currency} once", source=f"{source}{needs.utilisation:.0%}: {COUNTED}")


def _served(needs: Needs) -> list[Figure]:
    """What serving an own model takes: speed of a device, devices, their price."""
    speed, devices = tokens_per_second(needs), serving_devices(needs)
    measured = needs.device_tokens_per_second is not None
    flops = f"{needs.device_flops:.4g} x {needs.serving_utilisation:g} / (2 x {needs.parameters:.4g})"
    busy = f"larger of {least_devices(needs)} (kept, and to hold {2 * needs.parameters / 1e9:.3g} GB of weights in "
    busy += f"{WEIGHTS_SHARE:.0%} of the memory) and {needs.peak:g} x {mean_rate(needs):,.4g} tokens/s / {speed:,.4g}"
    return [
        *([] if measured else [rented(needs).served()]),
        Figure("a device serves", speed, "tokens/s", f"{speed:g}, as given" if measured else flops,
               GIVEN if measured else "2 N a token: Kaplan et al. 2020, section 2.1"),
        Figure("serving devices", devices, "", busy, f"peak: the busiest hour against the mean; {GIVEN}"),
        Figure("own serving", own_serving(needs), f"{needs.currency} a month",
               f"{devices} devices x {HOURS} h x {needs.price_per_hour:g}", GIVEN),
    ]  # fmt: skip


def _break_evens(needs: Needs, found: Mapping[str, Way]) -> list[Figure]:
    """Requests a month at which each own model costs what the API does; the formula is of the devices there."""
    figures = []
    for name, own in OWN.items():
        volume = break_even(needs, own)
        there = needs if math.isinf(volume) else needs.model_copy(update={"requests_per_month": round(volume)})
        at = ways(there)[own]
        formula = f"(({at.once:,.0f} - {found['api'].once:,.0f}) / {needs.months:g} months + {at.by_month:,.0f})"
        formula += f" / {found['api'].by_request:.4g}"
        if math.isinf(volume):
            costs = "no number of devices serves as cheaply as the API"
            formula = costs if found["api"].by_request else "requests by API cost nothing"
        source = "first volume at which both cost the same over the months; by the month its devices and upkeep"
        figures.append(Figure(f"break-even, {name}", volume, "requests a month", formula, source))
    return figures
