"""The whole corpus chain on real files, JSON Lines to kept Parquet: MB of text a CPU-second, everything explained.

    python benchmarks/chain.py DATA/pretrain DATA/bench OUT_FOLDER

Rules (Gopher, C4, FineWeb, Chinese), exact and near-duplicates, masking and decontamination against every file of the
second folder, in one process on one core. MB are of UTF-8 text, seconds of CPU, start of the interpreter included.
Checked: the counts add up, and `tilth look` tells of every rejected document the step, the rule, the value and the
threshold, and of every duplicate a partner that is somewhere. Writes results/chain.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tilth.base import machine
from tilth.base.files import read_json, write_json
from tilth.corpus import look

QUIET = 0.5
PROSE = "domain in ['en_books', 'en_textbook_humanities', 'en_web', 'en_wiki']"
CONFIG = f"""
rules:
  - {{set: gopher_quality, where: "{PROSE}"}}
  - {{set: gopher_repetition, where: "{PROSE}"}}
  - {{set: c4, where: "{PROSE}"}}
  - {{set: fineweb, where: "{PROSE}"}}
  - {{set: chinese, where: language == 'zh'}}
holdout: {{fraction: 0.01}}
decontaminate: {{against: ["BENCH/*.jsonl.zst"]}}
"""


def explained(corpus: Path, bench: Path) -> Counter[str]:
    """Rejections by rule, as `tilth look` shows each one; ends the program where one lacks its reason or partner."""
    kept = {
        name
        for part in ("documents", "holdout")
        for path in (corpus / part).glob("*.parquet")
        for name in pq.read_table(path, columns=["id"]).column("id").to_pylist()
    }
    benchmarks = {path.name for path in bench.iterdir()}
    rows = look.rejected(corpus, limit=sys.maxsize)
    known, rules = kept | {row["id"] for row in rows}, Counter[str]()
    for row in rows:
        rules[row["rule"]] += 1
        partner, told = row["partner"], row["value"] is not None and row["threshold"] is not None
        if row["rule"] in ("same_text", "near_duplicate"):
            told = told and partner in known and row["value"] >= row["threshold"]
        elif row["rule"] == "benchmark_item":
            told = told and any(partner.startswith(name) for name in benchmarks) and row["value"] >= row["threshold"]
        if not (row["step"] and row["rule"] and told):
            sys.exit(f"not explained: { {**row, 'text': row['text'][:80]} }")
    return rules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("pretrain", type=Path)
    parser.add_argument("bench", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    shutil.rmtree(asked.out, ignore_errors=True)
    asked.out.mkdir(parents=True)
    config = asked.out / "chain.yaml"
    config.write_text(CONFIG.replace("BENCH", str(asked.bench.resolve())))
    tilth = [sys.executable, "-m", "tilth.cli.main", "corpus", str(asked.pretrain / "*.jsonl.zst")]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    meter = machine.Meter()
    command = [*tilth, "--config", str(config), "--out", str(asked.out / "corpus"), "--workers", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    figures = meter.read()
    report: dict[str, Any] = json.loads(done.stdout)
    corpus = Path(report["folder"])
    rules = explained(corpus, asked.bench)
    stages = {p.parent.name.rsplit("-", 1)[0]: read_json(p) for p in (asked.out / "corpus").glob("*/measured.json")}
    out = report["documents_kept"] + report["documents_holdout"] + report["documents_rejected"]
    assert (
        report["documents_in"] + report["documents_born"]
        == out
        == sum(rules.values()) + out - report["documents_rejected"]
    )
    rate = report["bytes_in"] / 1e6 / figures["cpu_seconds"]
    host = machine.describe()
    del host["host"]
    counts = ("documents_in", "documents_kept", "documents_holdout", "documents_rejected", "bytes_in", "bytes_kept")
    result = {
        **{name: report[name] for name in counts},
        "rejected_by": dict(rules.most_common()),
        "cpu_seconds_by_stage": {name: stage["cpu_seconds"] for name, stage in stages.items()},
        "cpu_seconds": figures["cpu_seconds"] if load < QUIET else "not measured",
        "megabytes_per_cpu_second": round(rate, 1) if load < QUIET else "not measured",
        "peak_memory_bytes": figures["peak_memory_bytes"],
        "load_before": round(load, 2),
        "machine": host,
    }
    write_json(Path(__file__).parent / "results" / "chain.json", result)
    print(json.dumps(result, indent=1), f"{rate:.1f} MB a CPU-second")


if __name__ == "__main__":
    main()
