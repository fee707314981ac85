"""The English rule sets beside datatrove's filters: every statistic, every decision, and the speed.

    python benchmarks/rules.py DATA PYTHON [FOLDER]

DATA holds `pretrain/*.jsonl.zst` and `web/*.jsonl.zst`; PYTHON is that of an environment with datatrove, spaCy and
resiliparse; the two talk through files in FOLDER, where what the peer computed is kept. Statistics count as equal to
five digits. What differs is counted by the first of the runs between spaces that both cut otherwise: its kind of
characters is the cause. Writes results/rules.json.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard

from tilth.base import machine
from tilth.base.files import write_json
from tilth.corpus.rules import C4, FineWeb, GopherQuality, GopherRepetition
from tilth.text import statistics

HERE = Path(__file__).parent
SOURCES = {
    "en_books": 1600,
    "en_textbooks_humanities": 464,
    "en_textbooks_math_science": 1080,
    "en_web_c4_sample": 300,
    "en_wikipedia_sample": 30,
    "math_latex": 1200,
}
SETS = {
    "gopher_quality": GopherQuality(min_alphabetic_words=None, min_alphabetic_tokens=0.8),
    "gopher_repetition": GopherRepetition(),
    "c4": C4(),
    "fineweb": FineWeb(),
}
_TIMED = 250
"""Documents that the peer is timed on, of which it reads a third of a megabyte a second."""


def read(path: Path, limit: int | None = None) -> Iterator[dict[str, Any]]:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        lines = io.TextIOWrapper(stream, encoding="utf-8")
        yield from (json.loads(line) for line in itertools.islice(lines, limit))


def write(path: Path, records: Any) -> Path:
    with path.open("w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Peer:
    """The other program; its answers are kept in a folder."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python, self.folder = python, folder

    def ask(self, what: str, source: Path, out: str) -> Path:
        done = self.folder / out
        if not done.exists():
            subprocess.run([self.python, HERE / "rules_peer.py", what, source, f"{done}.part"], check=True)
            Path(f"{done}.part").rename(done)
        return done


def documents(data: Path, peer: Peer) -> Path:
    """A JSON Lines file of `id`, `domain`, `text`."""
    out = peer.folder / "documents.jsonl"
    if out.exists():
        return out
    pages = write(peer.folder / "pages.jsonl", (
        {"id": page["id"], "html": page["html"]}
        for name in ("trafilatura_eval_dev", "readability_pages")
        for page in read(data / "web" / f"{name}.jsonl.zst") if page.get("html")
    ))  # fmt: skip
    texts = (
        {"id": record["id"], "domain": name, "text": record["text"]}
        for name, limit in SOURCES.items()
        for record in read(data / "pretrain" / f"{name}.jsonl.zst", limit)
    )
    return write(out, itertools.chain(texts, lines_of(peer.ask("extract", pages, "extracted.jsonl"))))


def decide(measured: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """bool [N] for each set: kept."""
    kept = {}
    for name, rules in SETS.items():
        bad = [fails for rule in rules.rules() for fails, _ in rule.failures(measured[rule.signal])]
        kept[name] = ~np.any(bad, axis=0)
    return kept


def borders(text: str, tokens: list[str]) -> set[int]:
    """Where tokens start, in characters of the text."""
    found, at = set(), 0
    for token in tokens:
        at = text.find(token, at)
        if at < 0:
            break
        found.add(at)
        at += len(token)
    return found


def cause(text: str, theirs: list[str], ours: list[str]) -> tuple[str, str]:
    """What the first run between spaces is made of that both cut otherwise, and the run."""
    apart = borders(text, theirs) ^ borders(text, ours)
    if not apart:
        return "not a matter of words", ""
    at = min(apart)
    run = (text[:at].split() or [""])[-1] if at and not text[at - 1].isspace() else ""
    run += (text[at:].split() or [""])[0]
    if any("\u2e80" <= c <= "\u9fff" or "\uff00" <= c <= "\uffef" for c in run):
        return "Chinese, Japanese or full-width characters", run
    if any(ord(c) > 0x24F and c.isalpha() for c in run):
        return "other scripts", run
    if "\\" in run or "$" in run:
        return "LaTeX", run
    if "://" in run or "www." in run or "@" in run or "/" in run:
        return "addresses and paths", run
    if any(ord(c) > 0x7F for c in run):
        return "symbols and marks outside ASCII", run
    return "other", run


def compare(docs: list[dict[str, Any]], theirs: list[dict[str, Any]], peer: Peer) -> dict[str, Any]:
    """Shares of equal statistics and decisions, and why the others differ."""
    from tests.reference.text_words import words

    measured = statistics(pa.array([doc["text"] for doc in docs], pa.large_string()))
    rows: dict[str, Any] = {}
    different: dict[int, list[str]] = {}
    for name in theirs[0]["statistics"]:
        expected = np.array([record["statistics"][name] for record in theirs], float)
        found = measured[name].astype(float)
        if name in ("c4_lorem_ipsum", "c4_curly_brackets"):
            found = np.minimum(found, 1)
        same = np.isclose(found, expected, rtol=1e-5, atol=1e-6)
        rows[name] = {"equal": float(np.mean(same)), "largest": float(np.max(np.abs(found - expected)))}
        for i in np.flatnonzero(~same).tolist():
            different.setdefault(i, []).append(name)
    kept = decide(measured)
    decisions = {}
    for name, ours in kept.items():
        expected = np.array([record["decisions"][name][0] for record in theirs])
        decisions[name] = {
            "equal": float(np.mean(ours == expected)),
            "kept": float(np.mean(ours)),
            "kept_by_datatrove": float(np.mean(expected)),
        }
        for i in np.flatnonzero(ours != expected).tolist():
            different.setdefault(i, []).append(f"decision {name}")
    wanted = write(peer.folder / "different.jsonl", (docs[i] for i in different))
    tokens = {r["id"]: r["tokens"] for r in lines_of(peer.ask("tokens", wanted, f"tokens-{len(different)}.jsonl"))}
    causes: Counter[str] = Counter()
    detail: list[dict[str, Any]] = []
    for i, names in different.items():
        why, run = cause(docs[i]["text"], tokens[docs[i]["id"]], words(docs[i]["text"]))
        causes[why] += 1
        detail.append(
            {"id": docs[i]["id"], "domain": docs[i]["domain"], "differs": names, "cause": why, "run": run[:80]}
        )
    write(peer.folder / "differences.jsonl", detail)
    return {
        "documents": len(docs),
        "bytes": sum(len(doc["text"].encode()) for doc in docs),
        "domains": dict(Counter(doc["domain"] for doc in docs)),
        "statistics": rows,
        "decisions": decisions,
        "documents_that_differ": len(different),
        "causes": dict(causes.most_common()),
        "peer_disagrees_with_itself": sum(bool(record["disagreements"]) for record in theirs),
    }


def speed(texts: list[str], repeats: int = 5) -> dict[str, Any]:
    """Megabytes of UTF-8 a CPU-second of one core, all statistics and all four sets: the best of some runs."""
    array = pa.array(texts, pa.large_string())
    size = sum(len(text.encode()) for text in texts)
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        decide(statistics(array))
        seconds.append(time.process_time() - start)
    return {
        "bytes": size,
        "cpu_seconds": round(min(seconds), 3),
        "mb_per_cpu_second": round(size / min(seconds) / 1e6, 1),
    }


def main(data: Path, python: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    peer = Peer(python, folder)
    docs = lines_of(documents(data, peer))
    source = folder / "documents.jsonl"
    result = compare(docs, lines_of(peer.ask("measure", source, "measured.jsonl")), peer)
    sample = docs[:: max(1, len(docs) // _TIMED)]
    timed = json.loads(peer.ask("time", write(folder / "timed.jsonl", sample), "timed.json").read_text())
    names = list(SETS)
    result["speed"] = {
        "load_before": round(load, 2),
        "tilth": speed([doc["text"] for doc in docs]),
        "datatrove": {name: round(timed["bytes"] / timed[name] / 1e6, 3) for name in names}
        | {"all": round(timed["bytes"] / sum(timed[name] for name in names) / 1e6, 3)},
    }
    result["machine"] = machine.describe()
    result["machine"].pop("host", None)
    write_json(HERE / "results" / "rules.json", result)
    for name, row in result["statistics"].items():
        print(f"{name:<32} equal {row['equal']:.4%}")
    for name, row in result["decisions"].items():
        print(f"{name:<32} same decision {row['equal']:.4%}, kept {row['kept']:.1%}")
    print(result["causes"], result["speed"], f"peer against itself: {result['peer_disagrees_with_itself']}")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    where = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(tempfile.gettempdir()) / "tilth-rules"
    main(Path(sys.argv[1]), sys.argv[2], where)
