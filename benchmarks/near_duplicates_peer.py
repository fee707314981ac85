"""The other side of `near_duplicates.py`: run by a Python that has datasketch, rensa or datatrove, and no Tilth.

    python near_duplicates_peer.py TEXTS.jsonl OUT.json

Each line has a `text` and its `language`, en or zh. Each peer makes signatures of 112 hashes over 5-grams: CPU-seconds
a language, from texts on and, where the peer takes shingles ready made, from these on. Such peers get them of `grams`,
as one writes it in Python; datatrove cuts its own. A peer that cannot be imported stands in OUT with the reason.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HASHES = 112
UNIT = re.compile(r"[㐀-鿿]|[^\W_㐀-鿿]+")


def units(text: str) -> list[str]:
    return UNIT.findall(text.lower())


def grams(text: str, n: int = 5) -> set[tuple[str, ...]]:
    found = units(text)
    return {tuple(found[i : i + n]) for i in range(max(1, len(found) - n + 1))}


def shingles(texts: Sequence[str]) -> list[list[str]]:
    return [[" ".join(gram) for gram in grams(text)] for text in texts]


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def of_shingles(sign: Callable[[list[list[str]]], Any], texts: Sequence[str]) -> dict[str, float]:
    cutting, sets = seconds(lambda: shingles(texts))
    signing, _ = seconds(lambda: sign(sets))
    return {"from_texts": cutting + signing, "from_shingles": signing}


def datasketch(texts: Sequence[str], language: str) -> dict[str, float]:
    from datasketch import MinHash

    def sign(sets: list[list[str]]) -> None:
        MinHash.bulk([[item.encode() for item in items] for items in sets], num_perm=HASHES)

    sign([["a"]])
    return of_shingles(sign, texts)


def rensa(texts: Sequence[str], language: str) -> dict[str, float]:
    from rensa import RMinHash

    return of_shingles(lambda sets: RMinHash.digest_matrix_from_token_sets(sets, HASHES, 1), texts)


def datatrove(texts: Sequence[str], language: str) -> dict[str, float]:
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.typeshelper import Languages

    config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8)
    named = {"en": Languages.english, "zh": Languages.chinese}[language]
    step = MinhashDedupSignature("unused", config, language=named)

    def sign(texts: Sequence[str]) -> None:
        for text in texts:
            if (found := step.get_shingles(text)).size:  # as its own loop does
                step.get_signature(found)

    sign(texts[:1])  # loads its dictionaries
    return {"from_texts": seconds(lambda: sign(texts))[0]}


PEERS = {"datasketch": datasketch, "rensa": rensa, "datatrove": datatrove}


def main(source: str, out: str) -> None:
    texts: dict[str, list[str]] = {}
    with Path(source).open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            texts.setdefault(record["language"], []).append(record["text"])
    found: dict[str, Any] = {}
    for name, make in PEERS.items():
        try:
            version = importlib.metadata.version(name)
            rows = {language: make(part, language) for language, part in texts.items()}
        except ImportError as error:  # PackageNotFoundError is one
            found[name] = {"skipped": str(error)}
        else:
            found[name] = {"version": version, **rows}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
