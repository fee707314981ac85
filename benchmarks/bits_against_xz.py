"""Held-out bits per byte of a finished run beside `xz -9` of the same text.

    python benchmarks/bits_against_xz.py runs/bilingual 'code=code_*' 'textbooks=en_textbooks_*'

Both see exactly the held-out documents of a domain: the model document by document, xz all of them in one stream,
joined by line ends, which is generous to xz: it learns the domain while it packs. `NAME=GLOB` joins domains into a
family. Writes results/bits_against_xz.json.
"""

from __future__ import annotations

import fnmatch
import lzma
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tilth.base import machine
from tilth.base.events import read_journal
from tilth.base.files import read_json, write_json


def compare(name: str, scores: list[dict[str, Any]], texts: list[str]) -> dict[str, Any]:
    """One row: a domain or a family of domains."""
    stream = "\n".join(texts).encode()
    xz = 8 * len(lzma.compress(stream, preset=9, format=lzma.FORMAT_XZ)) / len(stream)
    size = sum(score["bytes"] for score in scores)
    model = sum(score["bits_per_byte"] * score["bytes"] for score in scores) / size
    print(f"{name:<34} {len(texts):>6} documents  xz {xz:.3f}  model {model:.3f}")
    return {"domain": name, "documents": len(texts), "bytes": size, "xz": round(xz, 3), "model": round(model, 3)}


def main(run_folder: Path, families: list[str]) -> None:
    stages = read_json(run_folder / "outcome.json")["stages"]
    scores = read_json(run_folder / stages["evaluate-base"] / "bits_per_byte.json")
    texts: dict[str, list[str]] = {}
    for file in sorted((run_folder / stages["corpus"] / "holdout").glob("*.parquet")):
        table = pq.read_table(file, columns=["domain", "text"])
        for domain, text in zip(table["domain"].to_pylist(), table["text"].to_pylist(), strict=True):
            texts.setdefault(domain, []).append(text)
    wanted = {domain: [domain] for domain in scores["domains"]}
    for name, pattern in (family.split("=", 1) for family in families):
        wanted[name] = fnmatch.filter(scores["domains"], pattern)
    rows = [compare(name, [scores["domains"][d] for d in members], [t for d in members for t in texts[d]])
            for name, members in wanted.items()]  # fmt: skip
    phases = [run_folder / folder for name, folder in stages.items() if name.startswith("pretrain-")]
    tokens = sum(list(read_journal(folder / "metrics.jsonl"))[-1]["tokens"] for folder in phases)
    measured = [read_json(folder / "measured.json") for folder in phases]
    result = {
        "tokens": tokens,
        "context": scores["context"],
        "training": [{k: m[k] for k in ("wall_seconds", "cpu_seconds", "load_before")} for m in measured],
        "machine": machine.describe(),
        "domains": rows,
    }
    del result["machine"]["host"]
    write_json(Path(__file__).parent / "results" / "bits_against_xz.json", result)
    below = [row["domain"] for row in rows if row["model"] < row["xz"]]
    print(f"below xz: {len(below)} of {len(rows)}, after {tokens:,} tokens")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
