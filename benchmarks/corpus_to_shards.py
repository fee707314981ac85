"""Gigabytes of JSON Lines to packed token shards: time, CPU-seconds and peak memory of the whole process tree.

    python benchmarks/corpus_to_shards.py DATA_FOLDER OUT_FOLDER --gigabytes 2

DATA_FOLDER holds `.jsonl.zst` files with a `text` a line, one file a domain, as recipes/bilingual.yaml reads them. The
input is recombined from that text: each document joins paragraphs of several documents of one domain, drawn by a fixed
seed, so that it is as varied as its source and any size can be made. One document in fifty is written twice.
Writes benchmarks/results/corpus_to_shards.json.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import zstandard

from tilth.base import machine
from tilth.base.files import read_json, write_json


def paragraphs(file: Path) -> list[str]:
    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        texts = (json.loads(line)["text"] for line in io.TextIOWrapper(stream, encoding="utf-8"))
        return [part for text in texts for part in text.split("\n\n") if part.strip()]


def documents(parts: list[str], size: int, rng: random.Random) -> Iterator[str]:
    written = 0
    while written < size:
        text = "\n\n".join(rng.sample(parts, min(len(parts), rng.randrange(4, 40))))
        for _ in range(2 if rng.random() < 0.02 else 1):
            yield text
            written += len(text.encode())


def make_input(data: Path, folder: Path, size: int) -> int:
    """Write about `size` bytes of text; returns the bytes of the files."""
    sources = sorted(data.glob("*.jsonl.zst"))
    if not sources:
        sys.exit(f"{data}: there is no .jsonl.zst file in this folder")
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for source in sources:
        out = folder / source.name.removesuffix(".zst")
        if not out.exists():
            parts = paragraphs(source)
            with out.with_suffix(".part").open("w", encoding="utf-8") as lines:
                for text in documents(parts, size // len(sources), random.Random(source.name)):
                    lines.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            out.with_suffix(".part").rename(out)
        total += out.stat().st_size
    return total


def tree_memory(root: int) -> int:
    """Bytes resident in a process and all below it; a shared page counts in parts (PSS)."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout.split("\n")[1:]
    below: dict[int, list[int]] = {}
    for line in listed:
        if line.strip():
            pid, parent = map(int, line.split())
            below.setdefault(parent, []).append(pid)
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        waiting += below.get(pid, [])
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rows:
                total += next(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    return total


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=machine.cores())
    asked = parser.parse_args()
    size = make_input(asked.data, asked.out / "input", round(asked.gigabytes * 1e9))
    recipe = asked.out / "shards.yaml"
    recipe.write_text(
        "corpus:\n  sources: [{path: input/*.jsonl, domain: '{stem}'}]\n"
        "  rules: [{set: gopher_repetition}, {set: gopher_quality}, {set: chinese}]\n"
        "tokenizer: {vocabulary: 16384, train_bytes: 32M}\n"
        "pretrain: [{name: main, tokens: 1M, sequence_length: 1024}]\n"
        f"compute: {{workers: {asked.workers}}}\n"
    )
    meter, peak, running = machine.Meter(), [0], [True]
    command = [sys.executable, "-m", "tilth.cli.main", "run", str(recipe), "--until", "pack-train-T1024"]
    process = subprocess.Popen([*command, "--runs", str(asked.out / "runs")])

    def watch() -> None:
        while running[0]:
            peak[0] = max(peak[0], tree_memory(process.pid))
            time.sleep(0.5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    running[0] = False
    watcher.join()
    if status:
        sys.exit(status)
    run = asked.out / "runs" / "shards"
    stages = {}
    for measured in sorted(run.glob("*/measured.json")):
        figures = read_json(measured)
        stages[measured.parent.name.rsplit("-", 1)[0]] = {k: figures[k] for k in ("wall_seconds", "cpu_seconds")}
    host = machine.describe()
    del host["host"]
    result = {
        "input_bytes": size,
        "workers": asked.workers,
        **meter.read(),
        "peak_tree_memory_bytes": peak[0],
        "stages": stages,
        "machine": host,
    }
    write_json(Path(__file__).parent / "results" / "corpus_to_shards.json", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
