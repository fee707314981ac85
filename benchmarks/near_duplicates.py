"""Near-duplicates: error of the similarity estimate, recall and partners on planted pairs, speed beside others.

    python benchmarks/near_duplicates.py DATA/pretrain WORK [--pairs 5000] [--megabytes 50] [--peer-python PYTHON]

Pairs are made of real documents, half by giving the copy another document's end, half by replacing words here and
there, so that their Jaccard similarities lie evenly between 0.5 and 0.95; the exact one is counted from sets of 5-grams
that a regular expression cuts. They go through the chain (measure, near) with its default settings. Speed is of
signatures with 112 hashes and their band keys, in MB of UTF-8 text a CPU-second of one core. PYTHON is that of an
environment with datasketch, rensa or datatrove, which make theirs of the first texts (near_duplicates_peer.py). Writes
results/near_duplicates.json.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from near_duplicates_peer import UNIT, grams, seconds

from tilth.base import machine
from tilth.base.files import remove, write_json
from tilth.corpus.corpus_stage import corpus_stage
from tilth.corpus.dedup.minhash import band_keys
from tilth.corpus.document import SIGNATURE
from tilth.corpus.measure_stage import measure_stage
from tilth.corpus.settings import CorpusSettings, NearSettings
from tilth.corpus.sources import find_files
from tilth.text import signatures

QUIET, LEAST, MOST = 0.5, 0.5, 0.95
PEER_TEXTS = 1000
ENGLISH = ("en_books", "en_textbooks_math_science", "en_textbooks_humanities")
CHINESE = ("zh_wikipedia", "zh_law", "zh_tech_docs")


def jaccard(a: str, b: str) -> float:
    first, second = grams(a), grams(b)
    return len(first & second) / len(first | second)


def read(folder: Path, names: Sequence[str], size: int) -> list[str]:
    """About `size` bytes of text of these files, pieces of about 3,000 characters."""
    texts = []
    for name in names:
        left = size // len(names)
        with (folder / f"{name}.jsonl.zst").open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as s:
            for line in io.TextIOWrapper(s, encoding="utf-8"):
                text = json.loads(line)["text"]
                for start in range(0, len(text) - 1500, 3000):
                    piece = text[start : start + 3000]
                    texts.append(piece)
                    left -= len(piece.encode())
                if left < 0:
                    break
    return texts


def other_end(text: str, other: str, similarity: float) -> str:
    """The text with so much of its end replaced: |A ∩ B| / |A ∪ B| = f / (2 − f) where the share f is kept."""
    kept = round(len(text) * 2 * similarity / (1 + similarity))
    return text[:kept] + "\n" + other[: len(text) - kept]


def words_changed(text: str, similarity: float, rng: random.Random) -> str:
    """The text with words replaced at random: each takes five 5-grams with it."""
    share = 1 - (2 * similarity / (1 + similarity)) ** (1 / 5)
    pieces = re.findall(r"[㐀-鿿]|[^\W_㐀-鿿]+|[\W_]+", text)
    return "".join(
        f"w{rng.randrange(10**6)} " if UNIT.fullmatch(piece) and rng.random() < share else piece for piece in pieces
    )


def make_pairs(texts: Sequence[str], count: int, rng: random.Random) -> list[tuple[str, str, float]]:
    """(original, copy, exact similarity), every original used once."""
    pairs = []
    chosen = rng.sample(range(len(texts)), 2 * count)
    for number in range(count):
        text, other = texts[chosen[2 * number]], texts[chosen[2 * number + 1]]
        wanted = rng.uniform(LEAST, MOST)
        copy = other_end(text, other, wanted) if number % 2 else words_changed(text, wanted, rng)
        pairs.append((text, copy, jaccard(text, copy)))
    return pairs


def estimate(pairs: Sequence[tuple[str, str, float]]) -> dict[str, float]:
    """Root mean square error of the estimate beside that of 112 independent hashes."""
    a, b = (signatures(pa.array([pair[i] for pair in pairs], pa.large_string()), SIGNATURE) for i in (0, 1))
    exact = np.array([pair[2] for pair in pairs])
    error = (a == b).mean(1) - exact
    theory = math.sqrt(float((exact * (1 - exact)).mean()) / SIGNATURE)
    found = float(np.sqrt((error**2).mean()))
    return {
        "rms_error": round(found, 4),
        "theory": round(theory, 4),
        "ratio": round(found / theory, 3),
        "bias": round(float(error.mean()), 4),
    }


def removed(pairs: Sequence[tuple[str, str, float]], work: Path) -> dict[str, str]:
    """What the chain rejects as a near-duplicate: id to its partner's id."""
    remove(work)
    work.mkdir(parents=True)
    with (work / "pairs.jsonl").open("w", encoding="utf-8") as lines:
        for number, (text, copy, _) in enumerate(pairs):
            for name, content in (("a", text), ("b", copy)):
                lines.write(json.dumps({"id": f"{name}{number}", "text": content}, ensure_ascii=False) + "\n")
    settings = CorpusSettings.model_validate({"sources": ["pairs.jsonl"], "steps": ["measure", "near"]})
    measure_stage(settings, find_files(settings.sources, work), work / "measure", work / "work-m")
    corpus_stage(settings, work / "measure", work / "corpus", work / "work-c")
    tables = [
        pq.read_table(path, columns=["id", "partner"]) for path in (work / "corpus" / "rejected").glob("*.parquet")
    ]
    return {row["id"]: row["partner"] for table in tables for row in table.to_pylist()}


def recall(pairs: Sequence[tuple[str, str, float]], gone: dict[str, str]) -> dict[str, Any]:
    """Found pairs by similarity, and how unlike the least similar partner of a removal is."""
    text_of = {f"{name}{i}": pair[k] for i, pair in enumerate(pairs) for k, name in enumerate("ab")}
    found = [f"a{i}" in gone or f"b{i}" in gone for i in range(len(pairs))]
    alike = [hit for hit, pair in zip(found, pairs, strict=True) if pair[2] >= 0.8]
    bins: dict[str, list[bool]] = {}
    for hit, pair in zip(found, pairs, strict=True):
        bins.setdefault(f"{math.floor(pair[2] * 20) / 20:.2f}", []).append(hit)
    partners = [jaccard(text_of[a], text_of[b]) for a, b in gone.items()]
    return {
        "pairs": len(pairs),
        "pairs_of_0.8_and_more": len(alike),
        "recall_at_0.8": round(sum(alike) / len(alike), 4),
        "found_by_similarity": {name: round(sum(hits) / len(hits), 3) for name, hits in sorted(bins.items())},
        "removed": len(gone),
        "least_similar_partner": round(min(partners), 3),
    }


def ours(texts: list[str], repeats: int = 5) -> float:
    """MB a CPU-second, the best of some runs."""
    near, array = NearSettings(), pa.array(texts, pa.large_string())
    taken = (seconds(lambda: band_keys(signatures(array, SIGNATURE), near.bands, near.rows))[0] for _ in range(repeats))
    return rate(texts, min(taken))


def rate(texts: list[str], cpu_seconds: float) -> float:
    return round(sum(len(text.encode()) for text in texts) / 1e6 / cpu_seconds, 2)


def peers(python: str, texts: dict[str, list[str]], work: Path) -> dict[str, Any]:
    """MB a CPU-second of the others on the same texts: from texts and, where they take them, from shingles on."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "texts.jsonl").open("w", encoding="utf-8") as lines:
        for language, part in texts.items():
            lines.writelines(json.dumps({"language": language, "text": text}) + "\n" for text in part)
    program = Path(__file__).with_name("near_duplicates_peer.py")
    subprocess.run([python, program, work / "texts.jsonl", work / "peers.json"], check=True)
    found = json.loads((work / "peers.json").read_text())
    for figures in found.values():
        for language in texts.keys() & figures.keys():
            figures[language] = {what: rate(texts[language], value) for what, value in figures[language].items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--peer-python", default="")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    texts = {
        name: read(asked.data, files, round(asked.megabytes * 1e6 / 2))
        for name, files in (("en", ENGLISH), ("zh", CHINESE))
    }
    if not all(texts.values()):
        sys.exit(f"{asked.data}: no text")
    ours(texts["en"][:10], 1)
    speed: dict[str, Any] = {"tilth": {name: ours(part) for name, part in texts.items()}}
    if asked.peer_python:
        speed |= peers(asked.peer_python, {name: part[:PEER_TEXTS] for name, part in texts.items()}, asked.work)
    print(speed, flush=True)
    rng = random.Random(1)
    pairs = make_pairs([text for part in texts.values() for text in part], asked.pairs, rng)
    host = machine.describe()
    del host["host"]
    result = {
        "estimate": estimate(pairs),
        "planted": recall(pairs, removed(pairs, asked.work)),
        "settings": NearSettings().canonical(),
        "megabytes_per_cpu_second": speed if load < QUIET else "not measured",
        "load_before": round(load, 2),
        "machine": host,
    }
    write_json(Path(__file__).parent / "results" / "near_duplicates.json", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
