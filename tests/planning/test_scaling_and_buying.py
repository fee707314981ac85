from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.base.chart import Chart
from tilth.laws.allocation import Allocation
from tilth.laws.chinchilla import optimum
from tilth.laws.kaplan import published_allocation
from tilth.laws.repeated import effective_tokens, repeated_loss
from tilth.planning import scaling
from tilth.planning.budget import Budget
from tilth.planning.buy import Needs, break_even, buy_report, recommend, training_cost, ways
from tilth.planning.cluster import Cluster
from tilth.planning.layout import divisors
from tilth.planning.scale_plan import scale_report
from tilth.reports.svg_file import svg_file

LAW = scaling.BESIROGLU


def test_chinchilla_and_gopher() -> None:
    assert scaling.loss(LAW, 70e9, 1.4e12) == pytest.approx(1.974, abs=5e-4)
    assert scaling.loss(LAW, 280e9, 0.3e12) == pytest.approx(2.000, abs=5e-4)
    best = optimum(LAW, 5.76e23)
    assert best.tokens / best.parameters == pytest.approx(18.4, abs=0.1)
    assert best.flops == pytest.approx(5.76e23)
    rounded = optimum(scaling.HOFFMANN, 5.76e23)
    assert rounded.tokens / rounded.parameters == pytest.approx(92.7, abs=0.5)


def test_kaplans_tenfold() -> None:
    """Ten times the compute: 5.4 times the model, 1.9 times the data."""
    one, ten = published_allocation(1e20), published_allocation(1e21)
    assert ten.parameters / one.parameters == pytest.approx(5.37, abs=0.01)
    assert ten.tokens / one.tokens == pytest.approx(1.86, abs=0.01)


def test_repeats_are_worth_less_and_never_more_than_sixteen_times_the_data() -> None:
    """Four epochs are nearly as good as fresh tokens; the limit is 1 + R_D."""
    assert effective_tokens(1e9, 5e8 / 1e9) == 5e8
    assert effective_tokens(1e9, 4e9 / 1e9) == pytest.approx(1e9 * (1 + 15.4 * (1 - math.exp(-3 / 15.4))))
    assert effective_tokens(1e9, 4e9 / 1e9) > 0.9 * 4e9
    assert effective_tokens(1e9, 1e13 / 1e9) == pytest.approx(16.4e9)


@settings(deadline=None)
@given(st.floats(1e19, 1e24))
def test_the_optimum_is_lower_than_its_neighbours(flops: float) -> None:
    best = optimum(LAW, flops)
    lowest = scaling.loss(LAW, best.parameters, best.tokens)
    for factor in (0.9, 1.1):
        assert scaling.loss(LAW, best.parameters * factor, best.tokens / factor) > lowest


def full_law(law: dict[str, float], size: np.ndarray, flops: float, unique: float) -> np.ndarray:
    """Muennighoff et al. 2023, equations 5 and 6, written out."""
    tokens = flops / 6 / size
    read = np.minimum(unique, tokens)
    worth = read * (1 + 15.4 * (1 - np.exp(-(tokens / read - 1) / 15.4)))
    alpha, beta = law["alpha"], law["beta"]
    matched = (alpha * law["A"] / (beta * law["B"])) ** (1 / alpha) * read ** (beta / alpha)
    base = np.minimum(size, matched)
    strength = base * (1 + 5.31 * (1 - np.exp(-(size / base - 1) / 5.31)))
    return law["E"] + law["A"] / strength**alpha + law["B"] / worth**beta


@pytest.mark.parametrize("name", scaling.LAWS)
@pytest.mark.parametrize(("flops", "unique"), [(1.914e21, 11e9), (1e20, 1e9), (1e22, 3e11), (1e23, 1e12)])
def test_the_data_limited_optimum_against_every_size_of_a_fine_grid(name: str, flops: float, unique: float) -> None:
    law = scaling.LAWS[name][0]
    found = scaling.data_limited_optimum(law, flops, unique)
    sizes = np.geomspace(1e6, 1e13, 400_001)
    losses = full_law(law, sizes, flops, unique)
    assert found.flops == pytest.approx(flops)
    assert found.parameters == pytest.approx(sizes[losses.argmin()], rel=2e-3)
    reached = repeated_loss(law, np.array([found.parameters]), np.array([found.tokens]), unique)
    assert reached[0] == pytest.approx(full_law(law, np.array([found.parameters]), flops, unique)[0], rel=1e-12)
    assert reached[0] <= losses.min() * (1 + 1e-12)


def test_excess_parameters_lose_their_worth_too() -> None:
    """A week of eight H100 and 11 B tokens, by the constants that were fitted together: 3.1 B read nine times."""
    best = scaling.data_limited_optimum(scaling.LAWS["muennighoff"][0], 1.914e21, 11e9)
    assert best.parameters == pytest.approx(3.08e9, rel=0.01)
    assert best.tokens / 11e9 == pytest.approx(9.4, abs=0.1)


@settings(deadline=None)
@given(st.floats(1e20, 1e23), st.floats(1e8, 1e12))
def test_with_few_tokens_the_answer_is_no_worse_than_the_unlimited_one(flops: float, unique: float) -> None:
    best, limited = optimum(LAW, flops), scaling.data_limited_optimum(LAW, flops, unique)

    def loss(one: Allocation) -> float:
        return float(full_law(LAW, np.array([one.parameters]), flops, unique)[0])

    assert limited.flops == pytest.approx(flops)
    assert loss(limited) <= loss(best) * (1 + 1e-9)


NAMES = {"exp": math.exp}


@pytest.mark.parametrize("unique", [1e8, 11e9, 1e12])
@pytest.mark.parametrize("flops", [1e18, 1.914e21])
def test_the_printed_formulas_give_the_printed_figures(flops: float, unique: float) -> None:
    """With and without repeats: what stands behind `=` is what was computed."""
    report = scale_report(Budget(flops, "", Cluster(devices=8, device="H100-80G")), "chinchilla", unique)
    figures = {one.name: one for one in report.figures}
    tokens, size = figures["tokens with this data"].value, figures["size with this data"].value
    for name, used in (("tokens are worth", tokens), ("parameters are worth", size)):
        said, _, formula = figures[name].formula.partition(" = ")
        assert said in ("D'", "N'")
        if "no more than" in formula:
            assert figures[name].value == pytest.approx(used)
        else:
            assert eval(formula.replace(" x ", " * "), NAMES) == pytest.approx(figures[name].value, rel=2e-3)
    law = LAW
    worth = figures["parameters are worth"].value, figures["tokens are worth"].value
    assert figures["loss with this data"].value == pytest.approx(scaling.loss(law, *worth))
    assert (figures["epochs"].value <= 1) is ("D' = D," in figures["tokens are worth"].formula)


def test_the_more_is_served_the_smaller_the_model() -> None:
    wanted = scaling.loss(LAW, 7e9, 140e9)
    found = [scaling.serving_optimum(LAW, wanted, served) for served in (0, 1e11, 1e12, 1e13)]
    sizes = [one.parameters for one in found]
    assert sizes == sorted(sizes, reverse=True)
    for one in found:
        assert scaling.loss(LAW, one.parameters, one.tokens) == pytest.approx(wanted, rel=1e-6)
    trained = optimum(LAW, found[0].flops)
    assert found[0].parameters == pytest.approx(trained.parameters, rel=1e-3)  # nothing served: compute-optimal


def test_serving_with_tokens_that_repeat_against_a_grid() -> None:
    """3.2 B read eight times over 11 B tokens: its loss again with the fewest operations over the model's life."""
    wanted = scaling.loss_with(LAW, 3.2e9, 88e9, 11e9)
    best = scaling.serving_optimum(LAW, wanted, 5e11, 11e9)
    assert full_law(LAW, np.array([best.parameters]), best.flops, 11e9)[0] == pytest.approx(wanted, rel=1e-9)
    sizes, epochs = np.meshgrid(np.geomspace(1e9, 1e10, 700), np.geomspace(0.5, 500, 1400))
    tokens = epochs * 11e9
    reach = full_law(LAW, sizes, 6 * sizes * tokens, 11e9) <= wanted
    life = np.where(reach, 6 * sizes * tokens + 2 * sizes * 5e11, np.inf)
    at = np.unravel_index(life.argmin(), life.shape)
    assert 6 * best.parameters * best.tokens + 2 * best.parameters * 5e11 == pytest.approx(life[at], rel=0.01)
    assert best.parameters == pytest.approx(sizes[at], rel=0.05)
    fresh = scaling.serving_optimum(LAW, wanted, 5e11)
    assert fresh.parameters < best.parameters
    assert fresh.tokens < best.tokens or fresh.flops < best.flops


def test_dearer_serving_wants_a_smaller_model_against_a_grid() -> None:
    """An operation of serving takes a device 40 / 3 times as long: lowest 6 N D + 40 / 3 x 2 N x served."""
    wanted, weight = scaling.loss(LAW, 7e9, 140e9), 0.4 / 0.03
    best = scaling.serving_optimum(LAW, wanted, 1e12, weight=weight)
    sizes = np.geomspace(1e9, 1e10, 400_001)
    tokens = scaling.tokens_for_loss(LAW, sizes, wanted)
    life = 6 * sizes * tokens + weight * 2 * sizes * 1e12
    assert best.parameters == pytest.approx(sizes[life.argmin()], rel=1e-3)
    assert best.parameters < scaling.serving_optimum(LAW, wanted, 1e12).parameters


@pytest.mark.parametrize("served", [0, 1e12])
@pytest.mark.parametrize(("size", "tokens", "unique"), [(100e9, 8e12, 10e9), (70e9, 4e12, 10e9), (7e9, 2e12, 50e9)])
def test_serving_where_smaller_models_never_reach_the_loss(
    size: float, tokens: float, unique: float, served: float
) -> None:
    """So many epochs that neither size nor tokens bring more: the cheapest stands beside those that never get there."""
    wanted = scaling.loss_with(LAW, size, tokens, unique)
    best = scaling.serving_optimum(LAW, wanted, served, unique)
    assert scaling.loss_with(LAW, best.parameters, best.tokens, unique) <= wanted * (1 + 1.001 * scaling.REACHED)
    sizes = np.geomspace(size / 100, size * 10, 20_001)
    life = 6 * sizes * scaling.tokens_for_loss(LAW, sizes, wanted, unique) + 2 * sizes * served
    assert 6 * best.parameters * best.tokens + 2 * best.parameters * served <= life.min() * (1 + 1e-6)


def test_costs_by_hand() -> None:
    """6 x 8e9 x 1e10 / (989e12 x 0.4) = 1,213,347 s = 337.04 h at 2.50."""
    needs = Needs(requests_per_month=1_000_000)
    assert training_cost(needs, 1e10) == pytest.approx(337.04 * 2.5, rel=1e-4)
    api = ways(needs)["api"]
    assert api.by_request == pytest.approx((1500 * 2 + 400 * 8) / 1e6)
    assert api.once == 5_000 + 15_000 + 500 * 10
    assert api.over(24) == pytest.approx(25_000 + 24 * 6_200)
    tuned = ways(needs)["continue"]
    assert tuned.once == pytest.approx(25_000 + 60_000 + 842.6, abs=0.1)


@pytest.mark.parametrize("own", ["continue", "scratch"])
def test_at_the_break_even_both_cost_the_same(own) -> None:
    needs = Needs()
    volume = break_even(needs, own)
    at = ways(needs.model_copy(update={"requests_per_month": round(volume)}))
    assert at[own].over(needs.months) == pytest.approx(at["api"].over(needs.months), rel=1e-4)
    figure = next(one for one in buy_report(needs).figures if one.name.startswith("break-even") and own[:4] in one.name)
    formula = figure.formula.replace(",", "").replace(" months", "")
    assert eval(formula) == pytest.approx(figure.value, rel=1e-3)  # with the devices that this volume needs
    free = Needs(api_in=0, api_out=0)
    assert break_even(free, own) == math.inf


@pytest.mark.parametrize("own", ["continue", "scratch"])
@pytest.mark.parametrize("price", [2.5, 7.5, 7.8, 7.83])
def test_below_the_break_even_an_own_model_is_dearer_and_just_above_it_is_not(own, price: float) -> None:
    """At 7.8 a device costs nearly what the API does for all that it serves: hundreds are needed."""
    needs = Needs(price_per_hour=price, device_tokens_per_second=2000)
    volume = break_even(needs, own)

    def gap(requests: float) -> float:
        at = ways(needs.model_copy(update={"requests_per_month": round(requests)}))
        return at[own].over(needs.months) - at["api"].over(needs.months)

    assert gap(volume + 2) < 0
    assert gap(volume - 2) > 0
    assert min(gap(volume * i / 20_000) for i in range(20_000)) > 0


def test_a_device_dearer_than_all_it_serves_never_breaks_even() -> None:
    needs = Needs(price_per_hour=7.9, device_tokens_per_second=2000)
    assert break_even(needs, "continue") == math.inf
    shown = buy_report(needs).as_text()
    assert re.search(r"break-even, continued +never$", shown, re.MULTILINE)
    assert "inf" not in shown


def test_the_easy_part_first() -> None:
    assert recommend(Needs()) == "easy"
    assert recommend(Needs(wanted=0.95)) == "continue"
    assert recommend(Needs(private=True)) == "continue"
    assert recommend(Needs(requests_per_month=5_000_000)) == "continue"
    assert recommend(Needs(private=True, staff_scratch=0, scratch_tokens=0)) == "scratch"


def test_a_long_legend_goes_on_in_the_next_line() -> None:
    names = [f"领域 {i} of many" for i in range(17)]
    drawn = svg_file(Chart([(name, [0, 1], [i, i + 1]) for i, name in enumerate(names)], "x", "y"))
    height = int(drawn.partition('viewBox="0 0 760 ')[2].partition('"')[0])
    keys = re.findall(r'<text x="(\d+)" y="(\d+)">(领域[^<]*)</text>', drawn)
    assert [name for _, _, name in keys] == names
    assert len({y for _, y, _ in keys}) > 1
    assert all(int(x) + 12 * 2 + 7 * (len(name) - 2) <= 760 and int(y) < height for x, y, name in keys)


def test_a_chart_of_nothing_is_a_file_that_says_so() -> None:
    drawn = svg_file(Chart([("a", [1.0], [math.nan])], "x", "y"))
    assert "No points to draw." in drawn
    assert drawn.startswith("<svg xmlns")
    assert drawn.endswith("</svg>\n")


def test_from_scratch_is_asked_for_wherever_it_is_cheapest():
    """Without a need for an own model too: 5 M requests, a model of 10 M tokens against one continued over 10 T."""
    needs = Needs(requests_per_month=5e6, staff_scratch=0, staff_continue=5e6, scratch_tokens=1e7, continue_tokens=1e13)
    costs = {key: way.over(needs.months) for key, way in ways(needs).items()}
    assert min(costs, key=lambda key: costs[key]) == "scratch"
    assert recommend(needs) == "scratch"


def test_divisors():
    assert divisors(36) == [1, 2, 3, 4, 6, 9, 12, 18, 36]
    assert all(divisors(n) == [i for i in range(1, n + 1) if n % i == 0] for n in range(1, 200))
