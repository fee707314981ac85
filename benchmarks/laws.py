"""Laws beside published measurements: what is found, how far it is from what others found, and the CPU-seconds.

    OMP_NUM_THREADS=1 python benchmarks/laws.py [EVIDENCE] [--slow]

EVIDENCE is a folder with the tables that docs/reproductions.md names (default ../shared/evidence). `--slow` adds RegMix
and the mixing laws left out one mixture at a time (about 20 minutes); without it their figures stay as they were.
The figures of `mixing` and `regmix` name the CPU-seconds of their own. Writes results/laws.json.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base import machine
from tilth.base.files import read_json, write_json
from tilth.laws.chinchilla import Chinchilla, fitted_optimum
from tilth.laws.counting import Counting
from tilth.laws.fitting import Points, Settings, fit
from tilth.laws.fitting.data import points
from tilth.laws.fitting.estimate import _solve
from tilth.laws.isoflop import isoflop
from tilth.laws.mixing import critical_ratio, fit_ensemble, leave_one_out
from tilth.laws.mixing.forms import form_named
from tilth.laws.mixing.mixtures import Mixtures, mixtures
from tilth.laws.mixing.models import LawModel

RESULT = Path(__file__).parent / "results" / "laws.json"
SIZES = ("70M", "160M", "305M", "410M")
PLAIN = {"5Mix": (0.0252, 0.0234, 0.0204, 0.0202), "RedPajama": (0.0180, 0.0143, 0.0172, 0.0169)}
"""Mean absolute errors in nats of plain fits, left out one at a time, at step 30,000."""
PORIAN = ("dataset", "hparams", "warmup", "decay", "param_count", "val")
COUNTINGS = {"kaplan": Counting.WITHOUT_EMBEDDINGS, "standard": Counting.WITH_HEAD}


def table(file: Path) -> list[dict[str, str]]:
    """Rows of a CSV."""
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def chinchilla_points(evidence: Path) -> Points:
    """The 240 points of Hoffmann's figure 4: the five highest losses left out."""
    rows = table(evidence / "chinchilla_fig4_points.csv")
    n, c, loss = (np.array([float(row[k]) for row in rows]) for k in ("Model Size", "Training FLOP", "loss"))
    return points({"N": n, "D": c / 6 / n}, loss, Counting.ALL).without_highest(5)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """The result and the CPU-seconds of this process."""
    began = time.process_time()
    result = work()
    return result, round(time.process_time() - began, 3)


def chinchilla(evidence: Path) -> dict[str, Any]:
    """One fit, 1,000 resamples, and a fit from 100 sets of random starts."""
    data, law = chinchilla_points(evidence), Chinchilla()
    found, one = timed(lambda: fit(law, data, Settings(folds=0)))
    whole, many = timed(lambda: fit(law, data, Settings(folds=0, bootstrap=1000)))
    best = {name: prediction.as_dict() for name, prediction in fitted_optimum(whole, 5.76e23).items()}
    return {
        "objective": found.objective,
        "parameters": found.parameters,
        "intervals": whole.intervals,
        "at_5.76e23": best,
        "cpu_seconds_fit": one,
        "cpu_seconds_fit_and_1000_resamples": many,
        "failed_resamples": 1000 - len(whole.resamples if whole.resamples is not None else ()),
        "random_start_failures_of_100": random_start_failures(data),
    }


def random_start_failures(data: Points) -> int:
    """Of 100 fits from 20 starts each, drawn from Hoffmann's box, how many miss the optimum."""
    failures = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        box = [(-1, 1), (0, 25), (0, 25), (0, 2), (0, 2)]
        starts = np.stack([random.uniform(low, high, 20) for low, high in box], -1)
        failures += bool(_solve(Chinchilla(), data, starts, 1e-3).objective.min() > 0.00101828)
    return failures


def porian(evidence: Path) -> list[dict[str, Any]]:
    """Every setting of which both points and a published exponent are there."""
    published = {tuple(r[k] for k in PORIAN): float(r["n_exponent_basic"]) for r in table(evidence / "porian_fits.csv")}
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in table(evidence / "porian_isoflop_points.csv"):
        groups[tuple(row[k] for k in PORIAN)].append(row)
    found = []
    for setting, rows in groups.items():
        columns = (np.array([float(row[k]) for row in rows]) for k in ("flops", "n", "loss"))
        frontier, spent = timed(lambda columns=columns, s=setting: isoflop(*columns, counting=COUNTINGS[s[4]]))
        found.append(
            {
                "setting": " ".join(setting),
                "exponent": round(frontier.exponent, 4),
                "interval": frontier.exponent_interval,
                "published": round(published[setting], 4),
                "left_out": list(frontier.warnings),
                "cpu_seconds": spent,
            }
        )
    return found


def continual(evidence: Path) -> dict[str, Any]:
    """The share of the Pile that keeps its loss while Python is learned."""
    weights = read_json(evidence / "mixinglaws_pile_valid_weight.json")
    rows = table(evidence / "mixinglaws_continual_70M.csv")
    loss = {row["run"]: sum(w * float(row[name]) for name, w in weights.items()) for row in rows}
    base = loss.pop(rows[0]["run"])
    last = {run: value for run, value in loss.items() if run.endswith("/10000")}
    shares = np.array([float(run.split("/")[0].split("-")[1]) for run in last])
    found = critical_ratio(shares, np.array(list(last.values())), base)
    return {"base": base, "critical_ratio": found.ratio.value, "warnings": list(found.fit.warnings)}


def mixing_data(evidence: Path, experiment: str, sizes: tuple[str, ...] = SIZES) -> tuple[Mixtures, np.ndarray]:
    """Runs at step 30,000 and the weights of the targets."""
    weights = read_json(evidence / "mixinglaws_pile_valid_weight.json")
    rows = [
        row
        for row in table(evidence / "mixinglaws_losses_wide.csv")
        if row["exp"] == experiment and row["step"] == "30000" and row["size"] in sizes
    ]
    shares = [[float(share) for share in row["weights"].split("-")] for row in rows]
    losses = [[float(row[name]) for name in weights] for row in rows]
    names = [f"domain {at}" for at in range(len(shares[0]))]
    data = mixtures(names, shares, list(weights), losses, [row["size"] for row in rows])
    return data, np.array(list(weights.values()))


def mixing(evidence: Path, experiments: Iterable[str] = PLAIN) -> list[dict[str, Any]]:
    """Errors of the weighted loss, each mixture left out at every size, everything chosen inside the others."""
    found = []
    for experiment in experiments:
        plain = PLAIN[experiment]
        data, weights = mixing_data(evidence, experiment)
        pooled, spent = timed(lambda data=data: leave_one_out(data))
        error = np.abs((pooled - data.losses) @ weights)
        for size, before in zip(SIZES, plain, strict=True):
            own, _ = mixing_data(evidence, experiment, (size,))
            alone = np.abs((leave_one_out(own) - own.losses) @ weights).mean()
            folds = np.arange(len(own))
            form = {
                name: float(np.abs((LawModel(form_named(name)).cross(own, folds) - own.losses) @ weights).mean())
                for name in ("exponential", "shares")
            }
            here = data.groups == data.group_names.index(size)
            row = {
                "experiment": experiment,
                "size": size,
                "runs": len(own),
                "plain_in_evidence": before,
                "all_sizes_together": float(error[here].mean()),
                "this_size_alone": float(alone),
                "forms_of_this_size_alone": form,
                "cpu_seconds_all_sizes": spent,
            }
            print(json.dumps(row), flush=True)
            found.append(row)
    return found


def regmix_data(evidence: Path, part: str) -> Mixtures:
    """The 512 training or the 256 test mixtures."""
    rows = {kind: table(evidence / "regmix" / f"{part}_{kind}_1m.csv") for kind in ("mixture", "pile_loss")}
    inside = {kind: {int(row["index"]): row for row in some} for kind, some in rows.items()}
    names = {kind: [name for name in some[0] if name != "index"] for kind, some in rows.items()}
    order = sorted(inside["mixture"])
    table_of = {kind: [[float(inside[kind][at][n]) for n in names[kind]] for at in order] for kind in rows}
    return mixtures(names["mixture"], table_of["mixture"], names["pile_loss"], table_of["pile_loss"])


def ranks(predicted: np.ndarray, measured: np.ndarray) -> dict[str, float]:
    """Spearman x 100 over the losses, mean and worst, and the mean absolute error."""
    from scipy.stats import spearmanr

    each = [100 * float(spearmanr(p, m).statistic) for p, m in zip(predicted.T, measured.T, strict=True)]
    return {"mean": float(np.mean(each)), "worst": min(each), "mae": float(np.abs(predicted - measured).mean())}


def regmix(evidence: Path) -> dict[str, Any]:
    """The ensemble, its composition chosen inside the 512 runs, and each member alone."""
    train, test = regmix_data(evidence, "train"), regmix_data(evidence, "test")
    found: dict[str, Any] = {}
    for members in (("shares", "process", "trees"), ("shares", "trees"), ("exponential", "trees")):
        model, spent = timed(lambda members=members: fit_ensemble(train, members))
        found[" + ".join(members)] = ranks(model.predict(test.shares), test.losses) | {
            "cpu_seconds": spent,
            "cross_validated_mae": model.error,
            "mean_weights": dict(zip(members, model.weights.mean(1).round(3).tolist(), strict=True)),
        }
        for name, member in zip(members, model.predictors, strict=True):
            found.setdefault(name, ranks(member(test.shares, test.groups), test.losses))
    return found


def main(evidence: Path, slow: bool) -> None:
    """Measure, print, keep."""
    load = os.getloadavg()[0]
    host = machine.describe()
    del host["host"]
    kept = read_json(RESULT) if RESULT.exists() else {}
    found = {
        "load_before": round(load, 2),
        "machine": host,
        "chinchilla": chinchilla(evidence),
        "porian": porian(evidence),
        "continual": continual(evidence),
        "mixing": kept.get("mixing"),
        "regmix": kept.get("regmix"),
        "note": "load_before and CPU-seconds count for the first three; mixing and regmix ran on a busy machine",
    }
    if slow:
        found |= {"regmix": regmix(evidence), "mixing": mixing(evidence)}
    write_json(RESULT, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    given = [one for one in sys.argv[1:] if not one.startswith("--")]
    main(Path(given[0]) if given else Path(__file__).parents[2] / "shared" / "evidence", "--slow" in sys.argv)
