"""Tokens a second of our engine beside transformers' `generate`, one thread, fp32, KV cache in both, greedy.

    python benchmarks/generation.py [--repeats 5]

A random Llama of 20.45 M parameters (hidden 384, 8 layers, vocabulary 8,192, untied), prompts of 128 tokens and 128 new
ones, at batch 1 and 16. Both run in this process, turn by turn; the figure is the median, the prompt's reading
included. The tokens of both must be equal. Writes results/generation.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tilth.base import machine
from tilth.base.files import write_json
from tilth.model import Engine, ModelSettings, build, export_model, generate

QUIET = 0.5
PROMPT, NEW, VOCABULARY = 128, 128, 8192
SETTINGS = ModelSettings(
    hidden=384,
    layers=8,
    heads=6,
    intermediate=1024,
    tie_embeddings=False,
    qk_norm=False,
    output_projections="normal",
)
Answers = list[list[int]]


def timed(work: Callable[[], Answers]) -> tuple[Answers, float, float]:
    """What it gives, and its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    answers = work()
    return answers, time.perf_counter() - wall, time.process_time() - cpu


def compare(batch: int, runners: dict[str, Callable[[Answers], Answers]], repeats: int) -> dict[str, Any]:
    """One row: every runner on the same prompts, turn by turn, after one round that does not count."""
    generator = torch.Generator().manual_seed(batch)
    prompts = torch.randint(VOCABULARY, (batch, PROMPT), generator=generator).tolist()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    answers: dict[str, Answers] = {}
    for turn in range(repeats + 1):
        for name, run in runners.items():
            answers[name], wall, cpu = timed(lambda run=run: run(prompts))  # type: ignore[misc]
            if turn:
                seconds[name].append((wall, cpu))
    row: dict[str, Any] = {"batch": batch, "same_tokens": answers["tilth"] == answers["transformers"]}
    for name, pairs in seconds.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        row[name] = {
            "tokens_per_second": round(batch * NEW / wall, 1),
            "tokens_per_cpu_second": round(batch * NEW / cpu, 1),
            "wall_seconds": round(wall, 3),
            "cpu_seconds": round(cpu, 3),
        }
    row["ratio_wall"] = round(row["transformers"]["wall_seconds"] / row["tilth"]["wall_seconds"], 2)
    row["ratio_cpu"] = round(row["transformers"]["cpu_seconds"] / row["tilth"]["cpu_seconds"], 2)
    print(row)
    return row


def main(repeats: int) -> None:
    import transformers

    load = os.getloadavg()[0]
    torch.set_num_threads(1)
    model = build(SETTINGS.config(VOCABULARY), seed=1)
    engine = Engine(model)
    with tempfile.TemporaryDirectory() as folder:
        export_model(model, Path(folder))
        peer = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    options = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}

    def ours(prompts: Answers) -> Answers:
        return [found.tokens for found in generate(engine, prompts, max_new=NEW)]

    @torch.inference_mode()
    def theirs(prompts: Answers) -> Answers:
        given = torch.tensor(prompts)
        return list(peer.generate(given, attention_mask=torch.ones_like(given), **options)[:, PROMPT:].tolist())

    rows = [compare(batch, {"tilth": ours, "transformers": theirs}, repeats) for batch in (1, 16)]
    host = machine.describe()
    del host["host"]
    result = {
        "model": {"parameters": model.config.parameter_count, "dtype": "fp32", "threads": 1},
        "prompt_tokens": PROMPT,
        "new_tokens": NEW,
        "repeats": repeats,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "load_before": round(load, 2),
        "rows": rows if load < QUIET else "not measured",
        "machine": host,
    }
    write_json(Path(__file__).parent / "results" / "generation.json", result)
    if load >= QUIET:
        print(f"load {load:.2f} before the run: these figures do not count (below {QUIET} they do)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    main(parser.parse_args().repeats)
