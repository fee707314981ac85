"""Near-deduplication of more text than fits into memory, killed ten times: memory, time, and what stays.

    python benchmarks/out_of_core.py DATA/pretrain WORK [--gigabytes 20] [--kills 10] [--ray] [--result FILE]
                                     [--parts one,two,killed,ray]

DATA/pretrain holds `.jsonl.zst` files with a `text` a line. The input is recombined from that text: each document is
made of pieces of one file, drawn by a seed, so that any size can be made. Two documents in a hundred stand there twice:
one as it is, one with words replaced, at any distance; the pairs' exact similarities are kept in WORK. `tilth corpus`
(measure, exact, near) runs over it in a process of its own: with one worker, with two, and with two again, killed by
SIGKILL at random points of its course and started anew. Each of these parts can be asked for alone; what it found is
kept in WORK/parts, and a part that is there is not run again, so that the program itself can be stopped and started
anew. With all parts there it ends, with an error where the files of two runs differ in a
byte, where a run's processes together held more memory than the limit, or where planted pairs were missed. Writes
results/out_of_core.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import zstandard
from corpus_to_shards import tree_memory
from near_duplicates import jaccard, words_changed

from tilth.base import machine
from tilth.base.files import digest_file, read_json, remove, write_json

FILE_BYTES = 64_000_000
"""Bytes of text of one file of the input."""
DRAWN = 0.04
"""Share of the documents that may be given again. Half of them are by the end, and half of these as they are."""
LIMIT = 2 * 2**30
RECALL = 0.97
"""Least share of the near copies with a similarity of 0.8 and more that must be found; of the exact ones all."""
CHAIN = "steps: [measure, exact, near]\nmeasure: {language: never}\n"


def pieces_of(file: Path) -> list[bytes]:
    """The file's text in pieces of some 400 to 1,200 characters, as they stand in JSON strings."""
    pieces, held = [], ""
    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for record in io.TextIOWrapper(stream, encoding="utf-8"):
            for line in json.loads(record)["text"].splitlines(keepends=True):
                held += line
                while len(held) >= 400:
                    pieces.append(json.dumps(held[:1200], ensure_ascii=False)[1:-1].encode())
                    held = held[1200:]
    return pieces


def documents(data: Path, seed: int, plants: Any) -> Iterator[tuple[str, bytes]]:
    """Endless (id, text as in a JSON string); every copy is noted as a line of `plants` when it is given."""
    rng = random.Random(seed)
    sources = [pieces for file in sorted(data.glob("*.jsonl.zst")) if len(pieces := pieces_of(file)) > 100]
    if not sources:
        sys.exit(f"{data}: there is no .jsonl.zst file with text in this folder")
    weights = [len(pieces) for pieces in sources]
    waiting: list[tuple[str, bytes]] = []
    number = 0
    while True:
        (source,) = rng.choices(sources, weights)
        text = b"".join(rng.choices(source, k=4 + int(rng.expovariate(1 / 3))))
        yield f"d{number}", text
        if rng.random() < DRAWN:
            waiting.append((f"d{number}", text))
            if rng.random() < 0.5:
                place = rng.randrange(len(waiting))
                waiting[place], waiting[-1] = waiting[-1], waiting[place]
                yield planted(*waiting.pop(), rng, plants)
        number += 1


def planted(of: str, text: bytes, rng: random.Random, plants: Any) -> tuple[str, bytes]:
    """A copy of the document `of`, exact or near."""
    name, similarity, exact = f"{of}-copy", 1.0, rng.random() < 0.5
    if not exact:
        before = json.loads(b'"' + text + b'"')
        after = words_changed(before, rng.uniform(0.8, 0.97), rng)
        text, similarity = json.dumps(after, ensure_ascii=False)[1:-1].encode(), jaccard(before, after)
    plants.write(json.dumps({"id": name, "of": of, "exact": exact, "similarity": similarity}) + "\n")
    return name, text


def make_input(data: Path, folder: Path, size: int, seed: int) -> dict[str, int]:
    """Write `size` bytes of text, unless they are there; returns what was written."""
    asked, done = {"bytes_asked": size, "seed": seed}, folder / "input.json"
    if done.exists() and asked.items() <= read_json(done).items():
        return dict(read_json(done))
    remove(folder)
    folder.mkdir(parents=True)
    written = count = packed = 0
    with (folder / "plants.jsonl").open("w", encoding="utf-8") as plants:
        drawn = documents(data, seed, plants)
        for number in range(-(-size // FILE_BYTES)):
            path, until = folder / f"{number:05d}.jsonl.zst", min(size, written + FILE_BYTES)
            with path.open("wb") as raw, zstandard.ZstdCompressor(1).stream_writer(raw) as lines:
                while written < until:
                    name, text = next(drawn)
                    lines.write(b'{"id": "%s", "text": "%s"}\n' % (name.encode(), text))
                    written += len(text)
                    count += 1
            packed += path.stat().st_size
    found = asked | {"bytes": written, "packed_bytes": packed, "documents": count}
    write_json(done, found)
    return found


@dataclass
class Course:
    """What was seen of one run of `tilth corpus`, while it lasted."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_tree_memory_bytes: int = 0
    steps: list[tuple[float, int]] = field(default_factory=list)
    """When (in seconds) so many shards were finished, in both stages together."""

    def figures(self) -> dict[str, float]:
        return {
            "wall_seconds": round(self.wall_seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "peak_tree_memory_bytes": self.peak_tree_memory_bytes,
        }


def finished(out: Path) -> int:
    """Shards that either stage has written; folders may be renamed into place meanwhile."""
    return sum(
        name.endswith(".parquet") and not name.startswith(".")
        for folder, _, names in os.walk(out)
        if Path(folder).name == "documents"
        for name in names
    )


def run(work: Path, out: Path, workers: int, engine: str, kill_at: tuple[int, float] | None = None) -> Course | None:
    """Run it over WORK/input to its end; or kill it some seconds after it has so many shards, and return None."""
    command = [sys.executable, "-m", "tilth.cli.main", "corpus", str(work / "input" / "*.jsonl.zst")]
    command += ["--config", str(work / "chain.yaml"), "--out", str(out), "--workers", str(workers), "--engine", engine]
    course, began, reached = Course(), time.monotonic(), None
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        now, shards = time.monotonic() - began, finished(out)
        if not course.steps or shards > course.steps[-1][1]:
            course.steps.append((now, shards))
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            break
        course.peak_tree_memory_bytes = max(course.peak_tree_memory_bytes, tree_memory(process.pid))
        if kill_at and shards >= kill_at[0]:
            reached = now if reached is None else reached
            if now >= reached + kill_at[1]:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return None
        time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    course.wall_seconds, course.cpu_seconds = now, used.ru_utime + used.ru_stime
    return course


def points(course: Course, count: int, rng: random.Random) -> list[tuple[int, float]]:
    """Random moments of a course, as shards finished and seconds since then."""
    moments = sorted(rng.uniform(0, course.wall_seconds) for _ in range(count))
    before = [max((step for step in course.steps if step[0] <= moment), default=(0.0, 0)) for moment in moments]
    return [(shards, moment - when) for moment, (when, shards) in zip(moments, before, strict=True)]


def hashes(out: Path) -> dict[str, str]:
    """SHA-256 of every file of both stages, but those that tell of times (and of the size of such a file)."""
    timed = {"measured.json", "artifact.json"}
    found = sorted(path for path in out.glob("*-*/**/*") if path.is_file() and path.name not in timed)
    return {str(path.relative_to(out)): digest_file(path) for path in found}


def rows(out: Path, part: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    for path in sorted(out.glob(f"corpus-*/{part}/*.parquet")):
        yield from pq.read_table(path, columns=columns).to_pylist()


def judge(work: Path, out: Path) -> dict[str, Any]:
    """Which planted pairs were found, and what else was removed."""
    gone = {row["id"]: row["rule"] for row in rows(out, "rejected", ["id", "rule"])}
    with (work / "input" / "plants.jsonl").open(encoding="utf-8") as lines:
        plants = [json.loads(line) for line in lines]
    found = [(plant["exact"], plant["similarity"], plant["id"] in gone or plant["of"] in gone) for plant in plants]
    exact = [hit for same, _, hit in found if same]
    alike = [hit for same, similarity, hit in found if not same and similarity >= 0.8]
    known = {name for plant in plants for name in (plant["id"], plant["of"])}
    return {
        "exact_pairs": len(exact),
        "exact_recall": sum(exact) / max(len(exact), 1),
        "near_pairs_of_0.8_and_more": len(alike),
        "near_recall": round(sum(alike) / max(len(alike), 1), 4),
        "documents_removed": len(gone),
        "of_these_not_planted": len(gone.keys() - known),
    }


def stages(out: Path) -> dict[str, Any]:
    """Seconds of each stage, as the runs themselves have measured them."""
    found = {path.parent.name.rsplit("-", 1)[0]: read_json(path) for path in sorted(out.glob("*/measured.json"))}
    return {name: {k: figures[k] for k in ("wall_seconds", "cpu_seconds")} for name, figures in found.items()}


PARTS = {"one": (1, "local"), "two": (2, "local"), "killed": (2, "local"), "ray": (2, "ray")}
"""Workers and engine of each part of the program, in order; `killed` needs the course of `two`."""


def run_part(name: str, work: Path, kills: int, seed: int) -> dict[str, Any]:
    """Run one part, or look up what it found; the first also judges which planted pairs were found."""
    done = work / "parts" / f"{name}.json"
    if done.exists():
        return dict(read_json(done))
    out, (workers, engine) = work / "out", PARTS[name]
    remove(out)
    moments: list[tuple[int, float]] = []
    if name == "killed":
        before = read_json(work / "parts" / "two.json")
        course = Course(before["wall_seconds"], steps=[(when, shards) for when, shards in before["steps"]])
        moments = points(course, kills, random.Random(seed))
    load = os.getloadavg()[0]
    killed = sum(run(work, out, workers, engine, moment) is None for moment in moments)
    ended = run(work, out, workers, engine)
    assert ended is not None
    found = {"kills": killed, **ended.figures(), "load_before": round(load, 2), "stages": stages(out)}
    if name == "one":
        found["planted"] = judge(work, out)
    write_json(done, {**found, "steps": ended.steps, "hashes": hashes(out)})
    print(name, json.dumps(found), flush=True)
    remove(out)
    return dict(read_json(done))


def wrongs(found: dict[str, dict[str, Any]], kills: int) -> list[str]:
    """What the parts found that must not be."""
    wrong, first = [], found["one"]
    for name, part in found.items():
        if different := sorted(dict(part["hashes"].items() ^ first["hashes"].items())):
            wrong.append(f"{name}: {len(different)} files differ from those of one worker, {different[0]} among them")
        if name == "killed" and part["kills"] < kills:
            wrong.append(f"{name}: ended before it had been killed {kills} times")
        if part["peak_tree_memory_bytes"] > LIMIT:
            wrong.append(f"{name}: {part['peak_tree_memory_bytes']:,} bytes of memory are more than {LIMIT:,}")
    if first["planted"]["exact_recall"] < 1 or first["planted"]["near_recall"] < RECALL:
        wrong.append(f"planted pairs were missed: {first['planted']}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", default="one,two,killed")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--result", type=Path, default=Path(__file__).parent / "results" / "out_of_core.json")
    asked = parser.parse_args()
    parts = [*dict.fromkeys([*asked.parts.split(","), *(["ray"] if asked.ray else [])])]
    if unknown := [name for name in parts if name not in PARTS]:
        sys.exit(f"--parts {unknown[0]}: the parts are {', '.join(PARTS)}")
    if "ray" in parts and not importlib.util.find_spec("ray"):
        sys.exit("--ray: Ray is not installed here")
    work = asked.work
    if "killed" in parts and "two" not in parts and not (work / "parts" / "two.json").exists():
        sys.exit("--parts killed: the moments are drawn from the course of `two`, which has not been run")
    made = make_input(asked.data, work / "input", round(asked.gigabytes * 1e9), asked.seed)
    (work / "chain.yaml").write_text(CHAIN)
    key = {"input": made, "kills": asked.kills, "seed": asked.seed}
    if (work / "parts.json").exists() and read_json(work / "parts.json") != key:
        remove(work / "parts")
    (work / "parts").mkdir(exist_ok=True)
    write_json(work / "parts.json", key)
    for name in parts:
        run_part(name, work, asked.kills, asked.seed)
    found = {name: read_json(path) for name in PARTS if (path := work / "parts" / f"{name}.json").exists()}
    if not {"one", "two", "killed"} <= found.keys():
        sys.exit(f"{', '.join(found)} are there; the result is written when one, two and killed are")
    host = machine.describe()
    del host["host"]
    told = {name: {k: v for k, v in part.items() if k not in ("steps", "hashes")} for name, part in found.items()}
    wrong = wrongs(found, asked.kills)
    result = {"input": made, **told, "wrong": wrong, "machine": host}
    write_json(asked.result, result)
    print(json.dumps(result, indent=1))
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
