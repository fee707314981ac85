"""How much planted damage the default Chinese rules catch, and how much clean text they reject.

    python benchmarks/chinese_damage.py DATA

2,000 clean documents of DATA/pretrain, each damaged in each of the ways of `tests/corpus/chinese_damage.py`, go through
`repair`, `lines` and the rules `{set: chinese}`. Damage is caught when the document is rejected, or when `lines` took
nine tenths of the planted lines out. Clean text: the share rejected of every Chinese domain. Writes
results/chinese_damage.json.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard

HERE = Path(__file__).parent
BASE = {"zh_wikipedia": 700, "zh_law": 300, "zh_tech_docs": 500, "zh_classics_novels": 500}
CLEAN = ("zh_wikipedia", "zh_law", "zh_tech_docs", "zh_classics_novels", "zh_poetry")
LEAST = 300
"""Characters of a document that is damaged."""


def read(path: Path) -> Iterator[str]:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        yield from (json.loads(line)["text"] for line in io.TextIOWrapper(stream, encoding="utf-8"))


def through_the_chain(texts: list[str]) -> tuple[list[str], list[str]]:
    """The texts behind `repair` and `lines`, and the rule that rejects each (empty: none)."""
    from tilth.corpus.document import schema, texts_of
    from tilth.corpus.edits.lines import LinesStep
    from tilth.corpus.edits.repair import RepairStep
    from tilth.corpus.rules import Chinese
    from tilth.corpus.settings import LinesSettings, RepairSettings
    from tilth.text import statistics

    columns = [pa.array(texts if f.name == "text" else [""] * len(texts), f.type) for f in schema()]
    table = pa.Table.from_arrays(columns, schema=schema())
    for step in (RepairStep("repair", RepairSettings()), LinesStep("lines", LinesSettings())):
        table, _ = step.edit(table)
    measured = statistics(texts_of(table))
    failed = np.full(len(texts), "", object)
    for rule in Chinese().rules():
        for fails, _ in rule.failures(measured[rule.signal]):
            failed[(failed == "") & fails] = rule.name
    return table.column("text").to_pylist(), failed.tolist()


def base_documents(data: Path) -> list[str]:
    """Clean documents to damage: those that the chain passes unhurt."""
    found: list[str] = []
    for name, count in BASE.items():
        texts = (t for t in read(data / "pretrain" / f"{name}.jsonl.zst") if LEAST <= len(t) <= 20_000)
        candidates = list(itertools.islice(texts, count + 60))
        _, failed = through_the_chain(candidates)
        found += [text for text, rule in zip(candidates, failed, strict=True) if not rule][:count]
    return found


def catch(kind: str, texts: list[str]) -> dict[str, Any]:
    from tests.corpus.chinese_damage import damaged, removed

    planted = [damaged(kind, text, str(i)) for i, text in enumerate(texts)]
    after, failed = through_the_chain([text for text, _ in planted])
    gone = [removed(lines, text, left) for (text, lines), left in zip(planted, after, strict=True)]
    by = Counter("lines" if done and not rule else rule for rule, done in zip(failed, gone, strict=True))
    return {"caught": round(1 - by.get("", 0) / len(texts), 4), "by": dict(by.most_common(6))}


def main(data: Path) -> None:
    from tests.corpus.chinese_damage import KINDS

    from tilth.base.files import write_json

    texts = base_documents(data)
    result: dict[str, Any] = {"documents": len(texts), "damaged": {}, "clean": {}}
    for kind in KINDS:
        row = result["damaged"][kind] = catch(kind, texts)
        print(f"{kind:<24} caught {row['caught']:.2%}  {row['by']}", flush=True)
    for name in CLEAN:
        documents = list(read(data / "pretrain" / f"{name}.jsonl.zst"))
        _, failed = through_the_chain(documents)
        by = Counter(failed)
        rejected = 1 - by.pop("", 0) / len(documents)
        result["clean"][name] = {"documents": len(documents), "rejected": round(rejected, 4), "by": dict(by)}
        print(f"{name:<24} rejected {rejected:.2%} of {len(documents)}  {by.most_common(4)}", flush=True)
    write_json(HERE / "results" / "chinese_damage.json", result)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    main(Path(sys.argv[1]))
