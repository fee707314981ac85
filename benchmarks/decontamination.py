"""Decontamination: what is found of planted benchmark items, what is found falsely, and how fast.

    python benchmarks/decontamination.py DATA/pretrain DATA/bench [--megabytes 100]

Both folders hold `.jsonl.zst` files. Every item that is long enough to test is planted, whole, into a document of the
pre-training text, once as it is and once with 5 % of its words changed (words of other items in their place; of Chinese
one character in twenty; items of at least 15 words or 30 characters), Chinese ones also in traditional
characters, and in those and the words of Taiwan, as OpenCC converts them. Found is an item that the step would remove.
False alarms are counted on documents in which nothing was planted; what was found there is written to
results/decontamination_found.jsonl, to be read by a person: real overlap is in it too. MB are of UTF-8 text, seconds
those of one core. Writes results/decontamination.json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard
from opencc import OpenCC

from tilth.base import machine
from tilth.base.files import write_json
from tilth.corpus.decontamination.benchmarks import Item
from tilth.corpus.decontamination.step import Search
from tilth.corpus.document import schema
from tilth.corpus.running.work import batchwise
from tilth.corpus.settings import DecontaminateSettings, SourceSettings
from tilth.corpus.sources import find_files

QUIET = 0.5
RESULTS = Path(__file__).parent / "results"
PIECE = re.compile(r"[㐀-鿿]|[^\s㐀-鿿]+|\s+")


def texts_of(path: Path) -> Iterator[str]:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            yield json.loads(line)["text"]


def sample(folder: Path, size: int) -> list[str]:
    """About `size` bytes of text, the same share of each file."""
    files = sorted(folder.glob("*.jsonl.zst"))
    if not files:
        sys.exit(f"{folder}: there is no .jsonl.zst file in this folder")
    found = []
    for file in files:
        left = size // len(files)
        for text in texts_of(file):
            left -= len(text.encode())
            if left < 0:
                break
            found.append(text)
    return found


def table_of(texts: Sequence[str]) -> pa.Table:
    empty = [""] * len(texts)
    columns = {"id": [str(i) for i in range(len(texts))], "text": texts}
    return pa.Table.from_arrays([pa.array(columns.get(f.name, empty), f.type) for f in schema()], schema=schema())


def changed(text: str, share: float, others: Sequence[str], rng: random.Random) -> str:
    """The text with this share of its words (or Chinese characters) replaced, one at least."""
    pieces = PIECE.findall(text)
    words = [i for i, piece in enumerate(pieces) if not piece.isspace()]
    for i in rng.sample(words, max(1, round(share * len(words)))):
        pieces[i] = (
            rng.choice(others) if len(pieces[i]) > 1 or pieces[i].isascii() else chr(rng.randrange(0x4E00, 0x9000))
        )
    return "".join(pieces)


def recall(search: Search, items: Sequence[Item], planted: Sequence[str], hosts: Sequence[str]) -> dict[str, Any]:
    """Of items planted in the middle of a host each, the share found, by benchmark; and the first that are missed."""
    limit = search.settings.coverage
    documents = []
    for host, text in zip(hosts, planted, strict=True):
        middle = len(host) // 2
        documents.append(f"{host[:middle]}\n{text}\n{host[middle:]}")
    found = {(leak.row, leak.name) for leak in search.leaks(table_of(documents)) if leak.coverage >= limit}
    hit = [(row, item.name) in found for row, item in enumerate(items)]
    missed = [planted[row] for row in range(len(items)) if not hit[row]]
    return {"items": len(items), "found": sum(hit), "recall": round(sum(hit) / len(items), 4), "missed": missed[:20]}


def is_chinese(text: str) -> bool:
    return len(re.findall("[㐀-鿿]", text)) > len(text) / 3


def long_enough(text: str) -> bool:
    return len(re.findall("[㐀-鿿]", text)) >= 30 if is_chinese(text) else len(text.split()) >= 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("pretrain", type=Path)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--megabytes", type=float, default=100)
    asked = parser.parse_args()
    load, rng = os.getloadavg()[0], random.Random(1)
    texts = sample(asked.pretrain.resolve(), round(asked.megabytes * 1e6))
    files = find_files([SourceSettings(path=str(asked.bench.resolve() / "*.jsonl.zst"))], Path.cwd())
    search = Search(DecontaminateSettings(), files)
    items = search.items()
    whole = ["\n".join(item.texts) for item in items]
    words = [word for text in whole for word in text.split() if word.isascii()]
    hosts = [rng.choice(texts)[:4000] for _ in items]
    rows: dict[str, Any] = {}
    for language in ("en", "zh"):
        mine = [i for i, text in enumerate(whole) if is_chinese(text) == (language == "zh")]
        noisy = [i for i in mine if long_enough(whole[i])]
        rows[language] = {
            "verbatim": recall(search, [items[i] for i in mine], [whole[i] for i in mine], [hosts[i] for i in mine]),
            "changed_5_percent": recall(
                search,
                [items[i] for i in noisy],
                [changed(whole[i], 0.05, words, rng) for i in noisy],
                [hosts[i] for i in noisy],
            ),
        }
        if language == "zh":
            for name, conversion in (("traditional", "s2t"), ("taiwan", "s2twp")):
                converted = [*map(OpenCC(conversion).convert, (whole[i] for i in mine))]
                rows[language][name] = recall(search, [items[i] for i in mine], converted, [hosts[i] for i in mine])
        for name, row in rows[language].items():
            print(language, name, {key: value for key, value in row.items() if key != "missed"}, flush=True)
    table = table_of(texts)
    with batchwise():  # as the chain runs it
        search.leaks(table.slice(0, 100))
        began = time.process_time()
        leaks = search.leaks(table)
        seconds = time.process_time() - began
    size = sum(len(text.encode()) for text in texts)
    alarms = [leak for leak in leaks if leak.coverage >= search.settings.coverage]
    with (RESULTS / "decontamination_found.jsonl").open("w", encoding="utf-8") as lines:
        for leak in alarms:
            start, end = leak.spans[0]
            record = {
                "item": leak.name,
                "coverage": leak.coverage,
                "text": texts[leak.row][max(0, start - 40) : end + 40],
            }
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
    host = machine.describe()
    del host["host"]
    result = {
        "planted": {
            k: {name: {n: v for n, v in row.items() if n != "missed"} for name, row in rows[k].items()} for k in rows
        },
        "text_bytes": size,
        "items": len(items),
        "documents": len(texts),
        "documents_found": len({leak.row for leak in alarms}),
        "cpu_seconds": round(seconds, 2) if load < QUIET else "not measured",
        "megabytes_per_cpu_second": round(size / 1e6 / seconds, 1) if load < QUIET else "not measured",
        "load_before": round(load, 2),
        "machine": host,
    }
    write_json(RESULTS / "decontamination.json", result)
    print(json.dumps(result, indent=1), f"{size / 1e6 / seconds:.0f} MB a CPU-second")
    for language, row in rows.items():
        for text in row["changed_5_percent"]["missed"][:5] + row["verbatim"]["missed"][:5]:
            print("missed", language, repr(text[:200]))


if __name__ == "__main__":
    main()
