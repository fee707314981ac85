"""Masking of personal data: precision, recall and F1 by kind on labelled text, megabytes a second on real text.

    python benchmarks/personal_data.py DATA [--megabytes 100] [--peer PYTHON] [--sample FILE]

DATA/pii holds labelled records (`full_text`, `spans` of entity_type, start_position, end_position), DATA/pretrain
`.jsonl.zst` files of real text. A span counts as found where kind, start and end are equal; `overlap` counts a labelled
span as recalled where found spans of its kind cover half of it. Addresses are also scored whole, because they are
labelled whole in some records and in fragments in others: labelled streets, postcodes and places that touch are one.
Text is read in equal shares of bytes from every file;
the figure is bytes of UTF-8 by CPU-seconds of the mask step, one process. PYTHON is an interpreter with
presidio-analyzer, whose pattern recognisers (no language model) then do the same. FILE gets places that were masked in
the real text, drawn at random, for reading. Writes results/personal_data.json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

QUIET = 0.5
SETS = ("presidio_synth_v2", "zh_synthetic")
KINDS = {
    **dict.fromkeys(("EMAIL", "EMAIL_ADDRESS"), "email"),
    **dict.fromkeys(("IPV4", "IPV6", "IP_ADDRESS"), "ip"),
    **dict.fromkeys(("LANDLINE_CN", "PHONE_CN", "PHONE_NUMBER"), "phone"),
    **dict.fromkeys(("BANK_CARD", "CREDIT_CARD"), "bank_card"),
    "ID_CARD_CN": "resident_id",
    "US_SSN": "ssn",
    "IBAN_CODE": "iban",
    "QQ_WECHAT": "qq",
    "STREET_ADDRESS": "address",
}
"""Our kind for each type of the labelled sets; the others (names, organisations, places, ages, dates, titles, domains,
postcodes alone, driving licences) have no form of their own."""
Span = tuple[str, int, int, int]
"""Kind, record, start, end."""


def records(file: Path) -> Iterator[dict[str, Any]]:
    import zstandard

    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        yield from map(json.loads, io.TextIOWrapper(stream, encoding="utf-8"))


def gold(labelled: Sequence[dict[str, Any]]) -> list[Span]:
    return [
        (KINDS[span["entity_type"]], row, span["start_position"], span["end_position"])
        for row, record in enumerate(labelled)
        for span in record["spans"]
        if span["entity_type"] in KINDS
    ]


def score(wanted: Sequence[Span], found: Sequence[Span]) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 of exact spans by kind, and the share of labelled spans that are half covered."""
    table = {}
    for kind in sorted({span[0] for span in wanted}):
        mine, theirs = {s for s in wanted if s[0] == kind}, {s for s in found if s[0] == kind}
        both = len(mine & theirs)
        by_row: dict[int, list[Span]] = {}
        for span in theirs:
            by_row.setdefault(span[1], []).append(span)
        half = 0
        for _, row, start, end in mine:
            covered = sum(max(0, min(end, e) - max(start, s)) for _, _, s, e in by_row.get(row, []))
            half += 2 * covered >= end - start
        table[kind] = {
            "labelled": len(mine),
            "found": len(theirs),
            "precision": round(both / len(theirs), 4) if theirs else 0.0,
            "recall": round(both / len(mine), 4),
            "f1": round(2 * both / (len(mine) + len(theirs)), 4),
            "overlap_recall": round(half / len(mine), 4),
        }
    return table


HALVES = ("even", "odd")
PARTS = ("STREET_ADDRESS", "ZIP_CODE", "GPE")
"""What an address is labelled in: whole in some records, in others line by line or number by number."""
BETWEEN = " \t\r\n,.;:?>|*-"
"""What may stand between two parts of one address, the marks of quoted mail among it."""


def whole_addresses(record: dict[str, Any]) -> list[tuple[int, int]]:
    """Labelled parts that touch each other are one address, if one of them is a street."""
    joined: list[tuple[int, int, bool]] = []
    for span in sorted(record["spans"], key=lambda span: span["start_position"]):
        if span["entity_type"] not in PARTS:
            continue
        start, end, street = span["start_position"], span["end_position"], span["entity_type"] == "STREET_ADDRESS"
        if joined and not record["full_text"][joined[-1][1] : start].strip(BETWEEN):
            first, last, before = joined.pop()
            start, end, street = first, max(last, end), before or street
        joined.append((start, end, street))
    return [(start, end) for start, end, street in joined if street]


def score_addresses(labelled: Sequence[dict[str, Any]], found: Sequence[Span]) -> dict[str, dict[str, float]]:
    """Shares of whole addresses half covered by what was found, and of what was found half inside one; also for the
    even and the odd templates by themselves: the patterns were written with the even ones at hand."""
    rows = range(len(labelled))
    halves = {half: {row for row in rows if labelled[row]["template_id"] % 2 == i} for i, half in enumerate(HALVES)}
    table = {}
    for name, chosen in {"all": set(rows), **halves}.items():
        addresses = {row: spans for row in chosen if (spans := whole_addresses(labelled[row]))}
        mine: dict[int, list[tuple[int, int]]] = {}
        for kind, row, start, end in found:
            if kind == "address" and row in chosen:
                mine.setdefault(row, []).append((start, end))
        covered, wanted = half_covered(addresses, mine)
        right, all_found = half_covered(mine, addresses)
        table[name] = {
            "addresses": wanted,
            "found": all_found,
            "precision": round(right / max(1, all_found), 4),
            "recall": round(covered / max(1, wanted), 4),
        }
    return table


def half_covered(these: dict[int, list[tuple[int, int]]], those: dict[int, list[tuple[int, int]]]) -> tuple[int, int]:
    """How many of `these` are covered by half or more by `those` of their record, and how many they are."""
    shares = [
        sum(max(0, min(end, e) - max(start, s)) for s, e in those.get(row, [])) / (end - start)
        for row, spans in these.items()
        for start, end in spans
    ]
    return sum(share >= 0.5 for share in shares), len(shares)


def mask(texts: Sequence[str], kinds: Sequence[str] | None = None) -> tuple[list[Span], float]:
    """Spans that the mask step replaces, and its CPU-seconds."""
    import pyarrow as pa

    from tilth.corpus.document import schema
    from tilth.corpus.privacy.mask import MaskStep
    from tilth.corpus.settings import DEFAULT_KINDS, MaskSettings

    step = MaskStep("mask", MaskSettings.model_validate({"kinds": kinds or [*DEFAULT_KINDS, "address"]}))
    fields = schema()
    found: list[Span] = []
    seconds = 0.0
    for first in range(0, len(texts), 1000):
        part = texts[first : first + 1000]
        columns = [pa.array(part if f.name == "text" else [""] * len(part), f.type) for f in fields]
        table = pa.table(columns, schema=fields)
        begin = time.process_time()
        _, log = step.edit(table)
        seconds += time.process_time() - begin
        rows = [row + first for row in log.rows]
        found += zip(log.kinds, rows, log.starts, log.ends, strict=True)
    return found, seconds


PEER = {
    "EmailRecognizer": "email",
    "IpRecognizer": "ip",
    "PhoneRecognizer": "phone",
    "CreditCardRecognizer": "bank_card",
    "UsSsnRecognizer": "ssn",
    "IbanRecognizer": "iban",
}


def peer() -> None:
    """In the other interpreter: texts as JSON on standard input, spans and CPU-seconds on standard output."""
    import tldextract
    from presidio_analyzer import predefined_recognizers

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # its own list: nothing is downloaded

    recognizers = [(kind, getattr(predefined_recognizers, name)()) for name, kind in PEER.items()]
    texts = json.load(sys.stdin)
    found = []
    begin = time.process_time()
    for row, text in enumerate(texts):
        for kind, recognizer in recognizers:
            results = recognizer.analyze(text, recognizer.supported_entities, None) or []
            found += [(kind, row, result.start, result.end) for result in results if result.score > 0]
    json.dump({"spans": found, "seconds": time.process_time() - begin}, sys.stdout)


def ask_peer(python: str, texts: Sequence[str]) -> tuple[list[Span], float]:
    done = subprocess.run(
        [python, __file__, "--as-peer"], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    return [tuple(span) for span in answer["spans"]], answer["seconds"]


def real_text(folder: Path, megabytes: float) -> tuple[list[str], list[str]]:
    """Texts and their domains: an equal share of every file, small files whole."""
    texts, domains = [], []
    files = sorted(folder.glob("*.jsonl.zst"), key=lambda file: file.stat().st_size)
    left = megabytes * 1e6
    for number, file in enumerate(files):
        share = left / (len(files) - number)
        for record in records(file):
            size = len(record["text"].encode())
            if share <= 0:
                break
            texts.append(record["text"])
            domains.append(file.name.split(".")[0])
            share -= size
            left -= size
    return texts, domains


def write_sample(file: Path, texts: Sequence[str], domains: Sequence[str], found: Sequence[Span], each: int) -> None:
    """`each` places of every kind at random, with what stands around them."""
    rng = random.Random(1)
    with file.open("w", encoding="utf-8") as out:
        for kind in sorted({span[0] for span in found}):
            of_kind = [span for span in found if span[0] == kind]
            for _, row, start, end in rng.sample(of_kind, min(each, len(of_kind))):
                text = texts[row]
                around = f"{text[max(0, start - 50) : start]}⟦{text[start:end]}⟧{text[end : end + 40]}"
                out.write(f"{kind:<11} {domains[row]:<24} {around!r}\n")


def main(given: argparse.Namespace) -> None:
    from tilth.base import machine
    from tilth.base.files import write_json

    load = os.getloadavg()[0]
    result: dict[str, Any] = {"load_before": round(load, 2), "labelled": {}, "whole_addresses": {}}
    for name in SETS:
        labelled = list(records(given.data / "pii" / f"{name}.jsonl.zst"))
        texts = [record["full_text"] for record in labelled]
        found = mask(texts)[0]
        result["labelled"][name] = {"tilth": score(gold(labelled), found)}
        if any(map(whole_addresses, labelled)):
            result["whole_addresses"][name] = score_addresses(labelled, found)
        if given.peer:
            wanted = [span for span in gold(labelled) if span[0] in PEER.values()]
            result["labelled"][name]["presidio"] = score(wanted, ask_peer(given.peer, texts)[0])
        for who, table in result["labelled"][name].items():
            for kind, row in table.items():
                print(f"{name:<18} {who:<9} {kind:<12}", *(f"{k} {v}" for k, v in row.items()))
        for half, row in result["whole_addresses"].get(name, {}).items():
            print(f"{name:<18} addresses {half:<12}", *(f"{k} {v}" for k, v in row.items()))
    texts, domains = real_text(given.data / "pretrain", given.megabytes)
    size = sum(len(text.encode()) for text in texts)
    mask(texts[:1000])
    found, seconds = mask(texts)
    by_kind = dict(sorted(Counter(span[0] for span in found).items()))
    by_domain = dict(sorted(Counter(domains[span[1]] for span in found).items()))
    result["real_text"] = {"bytes": size, "documents": len(texts), "masked": by_kind, "by_domain": by_domain}
    speed = {
        "tilth": {"bytes": size, "cpu_seconds": round(seconds, 3), "mb_per_cpu_second": round(size / seconds / 1e6, 1)}
    }
    if given.peer:
        some = random.Random(1).sample(texts, max(1, len(texts) // 100))
        few = sum(len(text.encode()) for text in some)
        theirs = ask_peer(given.peer, some)[1]
        rate = round(few / theirs / 1e6, 3)
        speed["presidio"] = {"bytes": few, "cpu_seconds": round(theirs, 3), "mb_per_cpu_second": rate}
    print(by_kind, by_domain, speed, sep="\n")
    result["speed"] = speed if load < QUIET else "not measured"
    result["machine"] = machine.describe()
    del result["machine"]["host"]
    if given.sample:
        write_sample(given.sample, texts, domains, found, 20)
    write_json(Path(__file__).parent / "results" / "personal_data.json", result)
    if load >= QUIET:
        print(f"load {load:.2f} before the run: its speed does not count (below {QUIET} it does)")


if __name__ == "__main__":
    if sys.argv[1:] == ["--as-peer"]:
        peer()
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("data", type=Path)
        parser.add_argument("--megabytes", type=float, default=100)
        parser.add_argument("--peer")
        parser.add_argument("--sample", type=Path)
        main(parser.parse_args())
