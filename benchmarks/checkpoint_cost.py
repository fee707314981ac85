"""What checkpoints cost a training run: the same steps with one every N steps, and with none.

    python benchmarks/checkpoint_cost.py [--steps 30] [--every 10] [--rounds 2]

The model is the speed table's (20.5 M parameters: hidden 384, 8 layers, vocabulary 8,192, untied), AdamW, 4 × 512
tokens a step, bf16 where the processor is fast in it. Both runs go through `train_phase` in a process of their own, in
turn; of every step `timings.jsonl` gives the seconds. A checkpoint is written in a thread while training goes on, so
it may cost a stop (copying the state: `blocked`) and slower steps beside the writing thread. Both are in the excess of
all steps over the median of those without checkpoints, divided by the checkpoints: seconds of one. A recipe has one in
250 steps by default: its share of their time is what is asked to be at most 2 %. Writes results/checkpoint_cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base import machine
from tilth.base.files import write_json

VOCABULARY, ROWS, LENGTH, WARM = 8192, 4, 512, 4
ASKED = 0.02


class Reader:
    """Random tokens, every sequence one document."""

    group_names, length, sizes = ("all",), LENGTH, [4096]

    def read(self, group: int, index: int) -> Any:
        """Sequence `index`."""
        from tilth.tokens.reader import Sequence

        tokens = np.random.default_rng(index).integers(1, VOCABULARY, LENGTH + 1).astype(np.int32)
        return Sequence(tokens[:-1], tokens[1:], np.array([LENGTH], np.int32), np.array([index]))


def train(steps: int, every: int, threads: int) -> dict[str, Any]:
    """Seconds of each step, and what each checkpoint said."""
    from tilth.model import ModelSettings
    from tilth.training import ComputeSettings, Job, OptimizerSettings, PhaseSettings, train_phase

    config = ModelSettings(
        hidden=384, layers=8, heads=6, intermediate=1024, tie_embeddings=False, qk_norm=False,
        output_projections="normal",
    ).config(VOCABULARY)  # fmt: skip
    phase = PhaseSettings(
        tokens=steps * ROWS * LENGTH, sequence_length=LENGTH, batch_sequences=ROWS, compile="off",
        optimizer=OptimizerSettings(kind="adamw", learning_rate=1e-3), max_epochs=1e9,
    )  # fmt: skip
    events: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOLDER")) as folder:
        compute = ComputeSettings(device="cpu", threads=threads, checkpoint_steps=every)
        job = Job(phase=phase, reader=Reader(), folder=Path(folder) / "phase", start=config, seed=1, compute=compute)
        train_phase(job, events.append)
        with (Path(folder) / "phase" / "timings.jsonl").open() as lines:
            seconds = [json.loads(line)["seconds"] for line in lines]
    return {"seconds": seconds, "checkpoints": [event for event in events if event["event"] == "checkpoint"]}


def run(steps: int, every: int, threads: int) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", str(steps), str(every), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def summary(plain: list[dict[str, Any]], saving: list[dict[str, Any]], interval: int) -> dict[str, Any]:
    """Seconds of a step, of a checkpoint, and the share of it at one every `interval` steps."""
    step = statistics.median(s for one in plain for s in one["seconds"][WARM:])
    checkpoints = [event for one in saving for event in one["checkpoints"]]
    seconds = [s for one in saving for s in one["seconds"][WARM:]]
    slower = sum(seconds) - len(seconds) * step
    blocked = sum(event["blocked"] for event in checkpoints)
    each = (slower + blocked) / len(checkpoints)
    return {
        "step_seconds": round(step, 4),
        "step_seconds_beside_checkpoints": round(statistics.mean(seconds), 4),
        "checkpoints": len(checkpoints),
        "blocked_seconds": round(blocked / len(checkpoints), 4),
        "writing_seconds": round(statistics.mean(event["seconds"] for event in checkpoints), 4),
        "slower_steps_seconds": round(slower / len(checkpoints), 4),
        "seconds_of_a_checkpoint": round(each, 4),
        "share_at_default_interval": round(each / (interval * step), 5),
        "default_interval": interval,
        "asked": ASKED,
        "holds": each / (interval * step) <= ASKED,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=machine.cores())
    arguments = parser.parse_args()
    from tilth.training import ComputeSettings

    load, never = os.getloadavg()[0], 10**6
    runs: dict[int, list[dict[str, Any]]] = {never: [], arguments.every: []}
    for _ in range(arguments.rounds):
        for every, found in runs.items():
            found.append(run(arguments.steps, every, arguments.threads))
            print(every, [round(s, 3) for s in found[-1]["seconds"]], found[-1]["checkpoints"], file=sys.stderr)
    plain, saving = runs[never], runs[arguments.every]
    figures = summary(plain, saving, ComputeSettings().checkpoint_steps)
    record = {
        "machine": machine.describe(),
        "load_before": round(load, 2),
        "steps": arguments.steps,
        "every": arguments.every,
        "rounds": arguments.rounds,
        "threads": arguments.threads,
        **figures,
        "seconds_of_steps": {"without": [x["seconds"] for x in plain], "with": [x["seconds"] for x in saving]},
    }
    print(json.dumps(figures, indent=1))
    write_json(Path(__file__).parent / "results" / "checkpoint_cost.json", record)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(train(*map(int, sys.argv[2:5]))))
    else:
        main()
