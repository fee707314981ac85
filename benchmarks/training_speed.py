"""Training tokens a second beside nanoGPT, litgpt and transformers: one small model, the same batches, two cores.

    python benchmarks/training_speed.py PRETRAIN --peers PYTHON --nanogpt FOLDER [--rounds 3]

The model: hidden 384, 8 layers, 6 heads, feed-forward 1,024, vocabulary 8,192, untied: 20.5 M parameters (nanoGPT's
frame of the same width and as many in its matrices: 17.5 M, tied). bf16 products, torch.compile, fused AdamW, clipping.

- `rows`: 4 × 512 tokens, every row one document;
- `packed`: 1 × 2,048 tokens, documents as long as those of PRETRAIN (a folder of JSON Lines), packed. Peers twice where
  they can: `exact` (a block mask and positions that begin again) and `leaking` (documents read each other).

Every contestant runs in a process of its own, turn by turn; ours is `train_phase`, with its feeder, metrics and
checkpoints' identity, of which `timings.jsonl` gives each step. A round's figure is the median of its steps, the result
the best round. PYTHON: an environment with torch, transformers and litgpt; FOLDER: a checkout with nanoGPT's model.py.
Writes results/training_speed.json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tilth.base import machine
from tilth.base.files import write_json

VOCABULARY, STEPS, WARM = 8192, 30, 6
SHAPES = {"rows": (4, 512), "packed": (1, 2048)}
CONTESTANTS = {
    "rows": ["tilth", "nanogpt", "litgpt", "transformers"],
    "packed": ["tilth", "nanogpt leaking", "litgpt leaking", "transformers leaking", "transformers exact"],
}
QUIET = 0.5
PEER = Path(__file__).with_name("training_speed_peer.py")


def document_lengths(pretrain: Path) -> np.ndarray:
    """Tokens of each document at 3.5 bytes of UTF-8 a token: the lengths of the corpus, whatever the tokenizer."""
    lengths = []
    for path in sorted(pretrain.glob("*.jsonl.zst")):
        with pa.input_stream(str(path), compression="zstd") as stream, io.TextIOWrapper(stream, "utf-8") as lines:
            lengths += [len(json.loads(line)["text"].encode()) for line in lines]
    return np.maximum(np.array(lengths) / 3.5, 2).astype(np.int64)


def make_batches(lengths: np.ndarray, shape: tuple[int, int], packed: bool) -> dict[str, np.ndarray]:
    """Random tokens of `STEPS` steps, and where the documents of each step end: offsets, repeated T at the end."""
    rng = np.random.default_rng(1)
    rows, length = shape
    tokens = rng.integers(1, VOCABULARY, (STEPS, rows, length + 1), dtype=np.int64)
    ends = []
    for _ in range(STEPS):
        cuts = []
        left = length if packed else 0
        while left:
            cuts.append(min(left, int(rng.choice(lengths))))
            left -= cuts[-1]
        ends.append(np.array(cuts or [length] * rows))
    slots = max(map(len, ends))
    return {"tokens": tokens, "lengths": np.stack([np.pad(cuts, (0, slots - len(cuts))) for cuts in ends])}


class Prepared:
    """A reader of the prepared sequences."""

    group_names = ("all",)

    def __init__(self, path: str) -> None:
        data = np.load(path)
        self.tokens, self.cuts = data["tokens"], data["lengths"]
        self.length = self.tokens.shape[2] - 1
        self.sizes = [len(self.tokens) * self.tokens.shape[1]]

    def read(self, group: int, index: int) -> Any:
        """Sequence `index`."""
        from tilth.tokens.reader import Sequence

        row = self.tokens[index // self.tokens.shape[1], index % self.tokens.shape[1]]
        cuts = self.cuts[index // self.tokens.shape[1]]
        cuts = cuts[cuts > 0] if self.tokens.shape[1] == 1 else np.array([self.length])
        return Sequence(
            row[:-1].astype(np.int32), row[1:].astype(np.int32), cuts.astype(np.int32), np.arange(len(cuts))
        )


def train_ours(path: str) -> list[float]:
    """Seconds of each step of `train_phase`."""
    from tilth.model import ModelSettings
    from tilth.training import ComputeSettings, Job, OptimizerSettings, PhaseSettings, train_phase

    reader = Prepared(path)
    rows = reader.tokens.shape[1]
    config = ModelSettings(
        hidden=384, layers=8, heads=6, intermediate=1024, tie_embeddings=False, qk_norm=False,
        max_positions=reader.length, output_projections="normal",
    ).config(VOCABULARY)  # fmt: skip
    phase = PhaseSettings(
        tokens=STEPS * rows * reader.length, sequence_length=reader.length, batch_sequences=rows,
        optimizer=OptimizerSettings(kind="adamw", learning_rate=1e-3), precision="bf16", compile="on",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        train_phase(
            Job(phase=phase, reader=reader, folder=Path(folder), start=config, seed=1, compute=ComputeSettings())
        )
        with (Path(folder) / "timings.jsonl").open() as lines:
            return [json.loads(line)["seconds"] for line in lines]


def run(contestant: str, path: Path, peers: str, nanogpt: Path) -> float:
    """Median seconds of the steps behind the first `WARM`, in a new process."""
    command = (
        [sys.executable, __file__, "--ours", str(path)]
        if contestant == "tilth"
        else [peers, str(PEER), contestant, str(path), str(nanogpt)]
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{contestant}: {done.stderr[-2000:]}")
    seconds = json.loads(done.stdout.splitlines()[-1])[WARM:]
    return statistics.median(seconds)


def compare(task: str, folder: Path, lengths: np.ndarray, arguments: argparse.Namespace) -> dict[str, Any]:
    """Tokens a second of every contestant, the best of the rounds."""
    rows, length = SHAPES[task]
    path = folder / f"{task}.npz"
    data = make_batches(lengths, SHAPES[task], packed=task == "packed")
    np.savez(path, **data)
    rounds: dict[str, list[float]] = {name: [] for name in CONTESTANTS[task]}
    for _ in range(arguments.rounds):
        for name, found in rounds.items():
            found.append(round(rows * length / run(name, path, arguments.peers, arguments.nanogpt)))
            print(task, name, found, file=sys.stderr)
    best = {name: max(found) for name, found in rounds.items()}
    fastest = max(value for name, value in best.items() if name != "tilth")
    return {
        "tokens_per_second": best,
        "rounds": rounds,
        "ratio_to_fastest_peer": round(best["tilth"] / fastest, 3),
        "documents_per_sequence": round(float((data["lengths"] > 0).sum(1).mean()) / rows, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pretrain", type=Path)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--nanogpt", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--task", choices=SHAPES)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    lengths = document_lengths(arguments.pretrain)
    with tempfile.TemporaryDirectory() as folder:
        tasks = [arguments.task] if arguments.task else list(SHAPES)
        results = {task: compare(task, Path(folder), lengths, arguments) for task in tasks}
    record = {
        "machine": machine.describe(),
        "load_before": round(load, 2),
        "tasks": results if load < QUIET else "not measured",
    }
    print(json.dumps(results, indent=1))
    if load >= QUIET:
        print(f"load {load:.2f} before the run: these figures do not count (below {QUIET} they do)")
    if not arguments.task:
        write_json(Path(__file__).parent / "results" / "training_speed.json", record)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        print(json.dumps(train_ours(sys.argv[2])))
    else:
        main()
