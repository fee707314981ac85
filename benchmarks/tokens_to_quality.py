"""How far a number of tokens goes: AdamW and Muon, each with a cosine and with warm-up, stable and decay.

    python benchmarks/tokens_to_quality.py DATA WORK [--tokens 400k] [--result FILE]

One model (3.5 M parameters) on the real text of DATA/pretrain, as `recipes/bilingual.yaml` cleans it. Each of the four
arms chooses its rate from the same five multiples of its optimizer's usual rates, by held-out bits per byte of one seed
at the full budget; three other seeds are then trained at that rate with a quarter and with the whole of the budget,
each with a schedule of its own that comes to its end. What is held out counts domain by domain, so that a large domain
is not the mean. A line of bits per byte over log(tokens) through both says how many tokens an arm needs to
come as far as the best cosine of AdamW does with all of them; seconds are CPU-seconds of one thread, which other work
on the machine changes little. Run it again to go on: what is done is kept below WORK. Writes
results/tokens_to_quality.json.
"""

from __future__ import annotations

import argparse
import math
import statistics
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from tilth.base import machine
from tilth.base.files import read_json, remove, write_json
from tilth.base.settings import parse_count
from tilth.pipeline.run import run_recipe

HERE = Path(__file__).parent
RECIPE = HERE.parent / "recipes" / "bilingual.yaml"
RATES = {"adamw": {"learning_rate": 2e-3}, "muon": {"learning_rate": 8e-3, "muon_learning_rate": 1.2e-2}}
"""The middle of each optimizer's grid; Muon's AdamW part moves along."""
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
SCHEDULES = {"cosine": "shape: cosine, end: 0.1", "stable": "shape: linear, decay: 0.3"}
"""To a tenth over the whole phase, as published runs have it; or constant, with a linear decay of the last 30 %."""
WARMUP = 0.03
ARMS = tuple(product(RATES, SCHEDULES))
CHOOSING, REPORTED = 1, (2, 3, 4)
BUDGETS = (0.25, 1.0)
T_95 = 4.303
"""Student's t for two degrees of freedom, 95 %, two-sided."""


def train(data: Path, work: Path, arm: tuple[str, str], factor: float, tokens: int, seed: int) -> dict[str, Any]:
    """Train and evaluate once, or look up what was found."""
    optimizer, schedule = arm
    done = work / "scores" / f"{optimizer}-{schedule}-{factor}-{tokens}-{seed}.json"
    if done.exists():
        return dict(read_json(done))
    rates = ", ".join(f"{name}: {rate * factor}" for name, rate in RATES[optimizer].items())
    assignments = [
        "name=quality", f"corpus.sources.0.path={data.resolve()}/pretrain/*.jsonl.zst",
        "corpus.holdout={fraction: 0.05, maximum: 16}", "tokenizer={vocabulary: 8192}", f"seed={seed}",
        "model={hidden: 192, layers: 4, heads: 3, intermediate: 576, max_positions: 512}",
        f"pretrain.main.tokens={tokens}", "pretrain.main.batch_sequences=8",
        f"pretrain.main.optimizer={{kind: {optimizer}, {rates}}}",
        f"pretrain.main.schedule={{warmup: {round(WARMUP * tokens)}, {SCHEDULES[schedule]}}}",
        "pretrain.main.compile='on'", "compute={threads: 1, workers: 1, device: cpu}",
        "evaluate={samples: {prompts: []}}",
    ]  # fmt: skip
    run_recipe(RECIPE, assignments, work / "runs", until="evaluate-base", quiet=True)
    run = work / "runs" / "quality"
    stages = read_json(run / "outcome.json")["stages"]
    trained = read_json(run / stages["pretrain-main"] / "measured.json")
    domains = read_json(run / stages["evaluate-base"] / "bits_per_byte.json")["domains"]
    found = {
        "bits_per_byte": {name: row["bits_per_byte"] for name, row in domains.items()},
        "mean": statistics.mean(row["bits_per_byte"] for row in domains.values()),
        **{name: trained[name] for name in ("wall_seconds", "cpu_seconds", "load_before")},
    }
    write_json(done, found)
    remove(run / stages["pretrain-main"])
    told = f"{optimizer}, {schedule}, rate x {factor}, {tokens:,} tokens, seed {seed}"
    print(f"{told}: {found['mean']:.4f}", flush=True)
    return found


def interval(values: list[float]) -> list[float]:
    """Mean, and half of its 95 % interval, over the seeds."""
    return [statistics.mean(values), T_95 * statistics.stdev(values) / math.sqrt(len(values))]


def tokens_needed(curve: dict[int, float], aim: float) -> float:
    """Where the line of bits per byte over log(tokens), piece by piece and onwards from its ends, meets `aim`."""
    points = sorted(curve.items())
    for (few, worse), (many, better) in pairwise(points):
        if aim >= better or (many, better) == points[-1]:
            return few * (many / few) ** ((worse - aim) / (worse - better))
    raise ValueError("a curve has two points at least")


def reported(data: Path, work: Path, arm: tuple[str, str], factor: float, tokens: int) -> dict[str, Any]:
    """The three other seeds of an arm at each budget."""
    budgets = {}
    for part in BUDGETS:
        size = round(part * tokens)
        runs = [train(data, work, arm, factor, size, seed) for seed in REPORTED]
        budgets[size] = {
            "mean_bits_per_byte": interval([run["mean"] for run in runs]),
            "cpu_seconds": statistics.mean(run["cpu_seconds"] for run in runs),
            "seeds": [run["mean"] for run in runs],
        }
    return budgets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--tokens", type=parse_count, default=400_000)
    parser.add_argument("--result", type=Path, default=HERE / "results" / "tokens_to_quality.json")
    asked = parser.parse_args()
    data, work, tokens = asked.data, asked.work, asked.tokens
    (work / "scores").mkdir(parents=True, exist_ok=True)
    grids = {
        arm: {factor: train(data, work, arm, factor, tokens, CHOOSING)["mean"] for factor in FACTORS} for arm in ARMS
    }
    chosen = {arm: min(grid, key=grid.__getitem__) for arm, grid in grids.items()}
    arms = {arm: reported(data, work, arm, factor, tokens) for arm, factor in chosen.items()}
    aim = arms["adamw", "cosine"][tokens]["mean_bits_per_byte"][0]
    result = {
        "tokens": tokens,
        "grids": {"-".join(arm): {str(factor): score for factor, score in grid.items()} for arm, grid in grids.items()},
        "at_the_grid's_edge": ["-".join(arm) for arm, factor in chosen.items() if factor in (FACTORS[0], FACTORS[-1])],
        "aim": aim,
        "arms": {},
        "machine": {name: value for name, value in machine.describe().items() if name != "host"},
    }
    for arm, budgets in arms.items():
        needed = tokens_needed({size: row["mean_bits_per_byte"][0] for size, row in budgets.items()}, aim)
        second = budgets[tokens]["cpu_seconds"] / tokens
        result["arms"]["-".join(arm)] = {
            "rate_factor": chosen[arm], "budgets": budgets, "tokens_to_the_aim": round(needed),
            "cpu_seconds_to_the_aim": round(needed * second, 1),
        }  # fmt: skip
        mean, half = budgets[tokens]["mean_bits_per_byte"]
        print(f"{'-'.join(arm):<14} x {chosen[arm]:<5} {mean:.4f} +- {half:.4f}; {needed / tokens:.2f} of the tokens, "
              f"{needed * second:.0f} CPU-seconds to {aim:.4f}")  # fmt: skip
    write_json(asked.result, result)


if __name__ == "__main__":
    main()
