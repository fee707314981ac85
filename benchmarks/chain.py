"""The whole corpus chain on real files, JSON Lines to kept Parquet: MB of text a CPU-second, everything explained.

    python benchmarks/chain.py DATA/pretrain DATA/bench OUT_FOLDER

Rules (Gopher, C4, FineWeb, Chinese), exact and near-duplicates, masking and decontamination against every file of the
second folder, in one process. MB are of UTF-8 text, seconds of CPU, start of the interpreter included. That the counts
add up, that every rejection has a rule and every duplicate a partner that is somewhere, is checked. Writes
results/chain.json.
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

QUIET = 0.5
CONFIG = """
rules:
  - {set: gopher_quality, where: domain != 'math_latex'}
  - {set: gopher_repetition, where: language == 'en' and domain != 'math_latex'}
  - {set: c4}
  - {set: fineweb}
  - {set: chinese, where: language == 'zh'}
holdout: {fraction: 0.01}
decontaminate: {against: ["BENCH/*.jsonl.zst"]}
"""


def explained(corpus: Path) -> Counter[str]:
    """Rejections by rule; ends the program where one lacks its reason, or its partner is nowhere."""
    tables = {
        part: [pq.read_table(p, columns=columns) for p in sorted((corpus / part).glob("*.parquet"))]
        for part, columns in (
            ("documents", ["id"]),
            ("holdout", ["id"]),
            ("rejected", ["id", "step", "rule", "value", "threshold", "partner"]),
        )
    }
    known = {name for part in tables.values() for table in part for name in table.column("id").to_pylist()}
    rules: Counter[str] = Counter()
    for table in tables["rejected"]:
        for row in table.to_pylist():
            rules[row["rule"]] += 1
            duplicate = row["rule"] in ("same_text", "near_duplicate")
            if (
                not row["step"]
                or not row["rule"]
                or row["value"] is None
                or (duplicate and row["partner"] not in known)
            ):
                sys.exit(f"not explained: {row}")
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
    meter = machine.Meter()
    command = [*tilth, "--config", str(config), "--out", str(asked.out / "corpus"), "--workers", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    figures = meter.read()
    report: dict[str, Any] = json.loads(done.stdout)
    corpus = Path(report["folder"])
    rules = explained(corpus)
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
