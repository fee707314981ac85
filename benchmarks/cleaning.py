"""Does cleaning help? One small model trained on noisy text and on what the corpus chain keeps of it.

    python benchmarks/cleaning.py DATA WORK

Real pages of DATA/pretrain in Chinese and English are given the noise of a crawl (`web_noise.py`); some are held out
before, with nothing near them left. The same model (5.3 M parameters), the same tokenizer (trained on the noisy text)
and the same number of training tokens: on the noisy pages, on what the chain keeps of them, and, as a ceiling, on the
pages before the noise. Three seeds each; bits per byte on the clean hold-out, document by document. Intervals:
Student's t over the paired seeds, and a bootstrap over the documents. Run it again to go on: what is done is kept below
WORK. Writes results/cleaning.json.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

HERE = Path(__file__).parent
BUDGET = {"en_books": 2_600_000, "en_textbooks_humanities": 1_800_000, "zh_wikipedia": 2_600_000,
          "zh_tech_docs": 1_800_000}  # fmt: skip
"""Bytes of text that are taken of each domain."""
SEEDS = (1, 2, 3)
TOKENS = 800_000
LENGTH = 256
T_95 = 4.303
"""Student's t for two degrees of freedom, 95 %, two-sided."""
AS_IT_IS: dict[str, Any] = {"steps": ["measure", "holdout"]}
CLEANED: dict[str, Any] = {
    "steps": ["repair", "lines", "measure", "exact", "rules", "holdout", "near", "passages"],
    "lines": {"web": True},
    "rules": [
        {"set": "gopher_quality", "where": "language == 'en'"},
        {"set": "gopher_repetition", "where": "language == 'en'"},
        {"set": "fineweb", "where": "language == 'en'"},
        {"set": "chinese", "where": "language == 'zh'"},
    ],
    "passages": {"unit": "line", "shortest": 60},
}
ARMS = {"noisy": ("crawl", AS_IT_IS), "cleaned": ("crawl", CLEANED), "before": ("pages", AS_IT_IS)}
"""Which text each model reads, and what the chain does to it."""


def main(data: Path, work: Path) -> None:
    sys.path.insert(0, str(HERE.parent))  # for the planted damage, which the tests share
    prepare(data, work)
    tokenizer = _run(work, "tokenizer", 1, {"sources": _sources(work, "crawl"), **AS_IT_IS}, None)
    for arms in (("noisy", "cleaned"), ("before",)):  # the ceiling last: the comparison does without it
        for seed in SEEDS:
            for arm in arms:
                score(work, arm, seed, tokenizer)
        _report(work, [arm for arm in ARMS if arm in arms or "before" in arms])


def prepare(data: Path, work: Path) -> None:
    """Write pages.jsonl, holdout.jsonl and crawl.jsonl: cut to the length of a page, without copies, then the noise."""
    from benchmarks.web_noise import crawl, english_furniture, read

    from tilth.pipeline.corpus_only import run_corpus

    if (work / "crawl.jsonl").exists():
        return
    (work / "real").mkdir(parents=True, exist_ok=True)
    for domain, budget in BUDGET.items():
        with (work / "real" / f"{domain}.jsonl").open("w", encoding="utf-8") as lines:
            for record in read(data / "pretrain" / f"{domain}.jsonl.zst"):
                if budget > 0 and len(record["text"]) > 200:
                    budget -= len(record["text"].encode())
                    page = {"id": record["id"], "text": record["text"], "language": domain[:2], "domain": domain}
                    lines.write(json.dumps(page, ensure_ascii=False) + "\n")
    chain = {
        "steps": ["repair", "split", "measure", "exact", "holdout", "near"],
        "split": {"longest": 4000},
        "holdout": {"fraction": 0.08, "maximum": 120},
        "near": {"threshold": 0.5, "bands": 37, "rows": 3},
    }
    (work / "pages.yaml").write_text(yaml.safe_dump(chain))
    _, folder = run_corpus([str(work / "real")], work / "corpus", work / "pages.yaml", "", 1)
    pages = _documents(folder / "documents")
    _write(work / "holdout.jsonl", [{**page, "source": "holdout"} for page in _documents(folder / "holdout")])
    _write(work / "pages.jsonl", pages)
    _write(work / "crawl.jsonl", list(crawl(pages, english_furniture(data / "web"))))


def _documents(folder: Path) -> list[dict[str, str]]:
    tables = [pq.read_table(p, columns=["id", "text", "domain", "language"]) for p in sorted(folder.glob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def _write(path: Path, records: list[dict[str, str]]) -> None:
    from tilth.base.files import atomic_file

    with atomic_file(path) as aside, aside.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _sources(work: Path, text: str) -> list[dict[str, str]]:
    """The hold-out first, so that what is near to it goes and not the other way round."""
    return [{"path": str(work / "holdout.jsonl")}, {"path": str(work / f"{text}.jsonl")}]


def _run(work: Path, name: str, seed: int, corpus: dict[str, Any], tokenizer: Path | None) -> Path:
    """Run a recipe until its model (or, without a tokenizer to load, its tokenizer) is there; the stage's folder."""
    from tilth.base.files import read_json
    from tilth.pipeline.run import run_recipe

    recipe = {
        "name": name,
        "corpus": {**corpus, "holdout": {"fraction": 0, "where": "source == 'holdout'"}},
        "tokenizer": {"load": str(tokenizer)} if tokenizer else {"vocabulary": 8192},
        "model": {"hidden": 256, "layers": 4, "heads": 4, "max_positions": LENGTH},
        "pretrain": [{
            "tokens": TOKENS, "sequence_length": LENGTH, "batch_sequences": 8,
            "schedule": {"warmup": "60k", "shape": "linear", "decay": 0.4},
        }],
        "compute": {"threads": 1, "workers": 1, "device": "cpu"},
    }  # fmt: skip
    (work / f"{name}.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True))
    stage = "pretrain-main" if tokenizer else "tokenizer"
    run_recipe(work / f"{name}.yaml", [f"seed={seed}"], work / "runs", until=stage)
    folder = work / "runs" / name
    return folder / str(read_json(folder / "outcome.json")["stages"][stage])


def score(work: Path, arm: str, seed: int, tokenizer: Path) -> None:
    """Train the model of an arm and a seed, and write what each document of the hold-out costs it."""
    from tilth.base.files import read_json, write_json

    path = work / "scores" / f"{arm}-{seed}.json"
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    text, chain = ARMS[arm]
    model = _run(work, arm, seed, {"sources": _sources(work, text), **chain}, tokenizer)
    run = work / "runs" / arm
    stages = read_json(run / "outcome.json")["stages"]
    facts = {name: read_json(run / stages[name] / "measured.json") for name in stages}
    report = read_json(run / stages["corpus"] / "report.json")
    groups = read_json(run / stages[f"pack-train-T{LENGTH}"] / "groups.json")
    write_json(path, {
        "documents": held_out(work, model, tokenizer),
        "training": {k: facts["pretrain-main"][k] for k in ("wall_seconds", "cpu_seconds", "load_before")},
        "pretrain": facts["pretrain-main"]["figures"],
        "corpus": {k: report[k] for k in ("documents_in", "documents_kept", "bytes_in", "bytes_kept")},
        "rejected_by": {rule: row["documents"] for rule, row in report["by_rule"].items()},
        "tokens_there": sum(row["pairs"] for row in groups.values()),
        "machine": facts["pretrain-main"]["machine"],
    })  # fmt: skip


def held_out(work: Path, model: Path, tokenizer: Path) -> list[dict[str, Any]]:
    """Bytes and nats of every document of the hold-out, each a group of its own."""
    from tilth.base.files import read_json
    from tilth.evaluation.bits_per_byte import bits_per_byte
    from tilth.tokens.pack import build_pack
    from tilth.tokens.reader import SequenceReader
    from tilth.tokens.store import TokenStore
    from tilth.tokens.tokenizer import Tokenizer
    from tilth.training import device, load_for_inference

    noisy = work / "runs" / "noisy"
    store = TokenStore(noisy / read_json(noisy / "outcome.json")["stages"]["tokens"] / "holdout")
    columns, marks = store.columns, Tokenizer.load(tokenizer)
    assert marks.bos is not None
    names = columns["id"].tolist()
    pack = build_pack(store.lengths, {name: np.array([row]) for row, name in enumerate(names)}, LENGTH)
    table = {name: {"documents": 1, "bytes": int(columns["bytes"][row])} for row, name in enumerate(names)}
    decoder = load_for_inference(model, device.choose("cpu"), device.precision("auto", device.choose("cpu"))[1])
    found = bits_per_byte(decoder, SequenceReader(store, pack), table, marks.eos)
    return [{"id": name, "domain": columns["domain"][row], "bytes": found[name]["bytes"], "nats": found[name]["nats"]}
            for row, name in enumerate(names)]  # fmt: skip


def gain(better: np.ndarray, worse: np.ndarray, size: np.ndarray) -> dict[str, Any]:
    """Bits per byte saved: nats float [seeds, documents] of two arms on the same documents of `size` bytes."""
    saved = (worse - better) / math.log(2)
    seeds = saved.sum(1) / size.sum()
    half = T_95 * seeds.std(ddof=1) / math.sqrt(len(seeds))
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(size), (10_000, len(size)))
    mean = saved.mean(0)
    boot = mean[drawn].sum(1) / size[drawn].sum(1)
    low, high = np.percentile(boot, [2.5, 97.5])
    return {
        "saved": round(float(seeds.mean()), 4),
        "seeds": [round(float(x), 4) for x in seeds],
        "interval_over_seeds": [round(float(seeds.mean() - half), 4), round(float(seeds.mean() + half), 4)],
        "interval_over_documents": [round(float(low), 4), round(float(high), 4)],
        "documents_better": round(float((mean > 0).mean()), 3),
    }


def _report(work: Path, arms: list[str]) -> None:
    """Write the result of these arms."""
    from tilth.base.files import read_json, write_json

    read = {(arm, seed): read_json(work / "scores" / f"{arm}-{seed}.json") for arm in arms for seed in SEEDS}
    documents = read["noisy", SEEDS[0]]["documents"]
    size = np.array([row["bytes"] for row in documents], float)
    domain = np.array([row["domain"] for row in documents])
    nats = {arm: np.array([[row["nats"] for row in read[arm, seed]["documents"]] for seed in SEEDS]) for arm in arms}
    parts = {"all": np.ones(len(size), bool), "English": np.char.startswith(domain, "en"),
             "Chinese": np.char.startswith(domain, "zh"), **{name: domain == name for name in BUDGET}}  # fmt: skip

    def mean(arm: str, rows: np.ndarray) -> float:
        return round(float(nats[arm][:, rows].sum() / math.log(2) / len(SEEDS) / size[rows].sum()), 4)

    facts = ("corpus", "rejected_by", "tokens_there", "pretrain")
    result = {
        "tokens": TOKENS,
        "seeds": list(SEEDS),
        "arms": {arm: {name: read[arm, SEEDS[0]][name] for name in facts} for arm in arms},
        "held_out": {n: {"documents": int(rows.sum()), "bytes": int(size[rows].sum())} for n, rows in parts.items()},
        "bits_per_byte": {name: {arm: mean(arm, rows) for arm in arms} for name, rows in parts.items()},
        "saved": {
            arm: {name: gain(nats[arm][:, rows], nats["noisy"][:, rows], size[rows]) for name, rows in parts.items()}
            for arm in arms
            if arm != "noisy"
        },
        "training": {f"{arm}-{seed}": entry["training"] for (arm, seed), entry in read.items()},
        "machine": {k: v for k, v in read["noisy", SEEDS[0]]["machine"].items() if k != "host"},
    }
    write_json(HERE / "results" / "cleaning.json", result)
    print(json.dumps({name: result[name] for name in ("bits_per_byte", "saved")}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
