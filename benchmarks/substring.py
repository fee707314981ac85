"""Removal of repeated substrings: megabytes of UTF-8 a CPU-second on one core, peak memory, and a suffix array beside.

    python benchmarks/substring.py DATA_FOLDER OUT_FOLDER --megabytes 1000 [--peer PYTHON]

DATA_FOLDER holds `.jsonl.zst` files with a `text` a line. The input is their text as it is and then, until it is large
enough, the same text again in shuffled pieces too short to be a repeat, with one paragraph in twenty whole. Timed is
the corpus stage with the one step `substring`, reading and writing Parquet included; the same stage without the step is
timed for comparison. PYTHON is an interpreter that has `pydivsufsort`: it sorts the suffixes of the first
--peer-megabytes and computes their common prefixes, which finds the repeats but cuts nothing yet. Writes
benchmarks/results/substring.json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import zstandard

from tilth.base import machine
from tilth.base.files import remove, write_json
from tilth.corpus.corpus_stage import corpus_stage
from tilth.corpus.measure_stage import measure_stage
from tilth.corpus.settings import CorpusSettings
from tilth.corpus.sources import find_files
from tilth.text import seen, substrings

KERNELS = (seen, substrings)
"""Compiled when they are imported: before any time is taken."""
QUIET = 0.5
"""A timed figure counts only where the machine's load before it was below this."""

PEER = """
import json, sys, time
import numpy as np
from pydivsufsort import divsufsort, kasai
text = np.fromfile(sys.argv[1], np.uint8)
start = time.process_time()
suffixes = divsufsort(text)
sorted_at = time.process_time()
common = kasai(text, suffixes)
repeated = int((common >= 100).sum())
done = time.process_time()
print(json.dumps({"sort_seconds": sorted_at - start, "cpu_seconds": done - start, "suffixes_repeated": repeated}))
"""


def texts_of(file: Path) -> Iterator[str]:
    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            yield json.loads(line)["text"]


def mixed(file: Path, seed: str) -> Iterator[str]:
    """Documents of twenty of the file's paragraphs in shuffled pieces of some 60 characters, and of one drawn whole."""
    parts, rng = [part for text in texts_of(file) for part in text.split("\n\n") if part.strip()], random.Random(seed)
    for start in range(0, len(parts), 20):
        text, size = "\n\n".join(parts[start : start + 20]), rng.randrange(40, 80)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        rng.shuffle(pieces)
        yield "".join(pieces) + "\n\n" + rng.choice(parts)


def make_input(data: Path, folder: Path, size: int) -> int:
    """Write files of about 64 MB until there are `size` bytes of text; returns how many there are."""
    sources = sorted(data.glob("*.jsonl.zst"))
    if not sources:
        sys.exit(f"{data}: there is no .jsonl.zst file in this folder")
    remove(folder)
    folder.mkdir(parents=True)
    rounds = (mixed(file, f"{file.name}{number}") for number in range(1, 100) for file in sources)
    documents = chain.from_iterable(chain((texts_of(file) for file in sources), rounds))
    written = 0
    for number in range(10_000):
        with (folder / f"{number:04d}.jsonl").open("w", encoding="utf-8") as lines:
            until = min(size, written + 64_000_000)
            while written < until and (text := next(documents, None)) is not None:
                lines.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                written += len(text.encode())
        if written >= size or written < until:
            break
    return written


def timed(folder: Path, steps: list[str], length: int) -> dict[str, Any]:
    """The corpus stage with these steps, on what was measured before."""
    plain = {"sources": [], "steps": steps} | ({"substring": {"length": length}} if steps else {})
    out, work = folder / "corpus", folder / "work-c"
    for old in (out, work):
        remove(old)
    machine.release_memory()
    meter = machine.Meter()
    report = corpus_stage(CorpusSettings.model_validate(plain), folder / "measure", out, work, 1)
    cut = sum(entry["bytes_in"] - entry["bytes_out"] for entry in report["funnel"] if entry["step"] == "substring")
    figures = meter.read()
    remove(out)
    remove(work)
    return {**figures, "bytes_cut": cut}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--megabytes", type=float, default=1000)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--peer", default="")
    parser.add_argument("--peer-megabytes", type=float, default=200)
    asked = parser.parse_args()
    load = os.getloadavg()[0]  # before the input is made, which is a core's work for minutes
    size = make_input(asked.data, asked.out / "input", round(asked.megabytes * 1e6))
    source = CorpusSettings.model_validate({"sources": [str(asked.out / "input" / "*.jsonl")], "steps": []})
    for name in ("measure", "work-m"):
        remove(asked.out / name)
    measure_stage(source, find_files(source.sources, asked.out), asked.out / "measure", asked.out / "work-m", 1)
    with_step, without = timed(asked.out, ["substring"], asked.length), timed(asked.out, [], asked.length)
    host = machine.describe()
    del host["host"]
    result = {"load_before": round(load, 2), "bytes": size, "length": asked.length}
    result |= {"substring": with_step, "without the step": without}
    result |= {"megabytes_a_cpu_second": speed(size, with_step, load), "machine": host}
    if asked.peer:
        found = peer(asked.peer, asked.out, round(asked.peer_megabytes * 1e6))
        result["pydivsufsort"] = found | {"megabytes_a_cpu_second": speed(found["bytes"], found, load)}
    write_json(Path(__file__).parent / "results" / "substring.json", result)
    print(json.dumps(result, indent=1))


def speed(size: int, figures: dict[str, Any], load: float) -> float | str:
    """Megabytes a CPU-second, if the machine was quiet."""
    return round(size / 1e6 / figures["cpu_seconds"], 2) if load < QUIET else "not measured"


def peer(python: str, folder: Path, size: int) -> dict[str, Any]:
    """The suffix array of the first `size` bytes of the same text."""
    text = folder / "peer.txt"
    with text.open("wb") as joined:
        for file in sorted((folder / "input").glob("*.jsonl")):
            for line in file.open(encoding="utf-8"):
                joined.write(json.loads(line)["text"].encode() + b"\0")
                if joined.tell() >= size:
                    break
            if joined.tell() >= size:
                break
    meter = machine.Meter()
    done = subprocess.run([python, "-c", PEER, str(text)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    figures, found = meter.read(), json.loads(done.stdout)
    count = text.stat().st_size
    return {"bytes": count, **figures, **found}


if __name__ == "__main__":
    main()
