"""The grammars' front: settings in, a JSON Lines file for each out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tilth.base.files import atomic_file
from tilth.base.progress import Progress
from tilth.synthesis import arithmetic, chats, people, questions, stories
from tilth.synthesis.documents import Writer, generate
from tilth.synthesis.settings import GrammarSettings

GRAMMARS = {
    "stories": stories.WRITERS,
    "arithmetic": arithmetic.WRITERS,
    "people": people.WRITERS,
    "questions": questions.WRITERS,
}


def write_documents(settings: Sequence[GrammarSettings], seed: int, out: Path) -> dict[str, Any]:
    """Write `KIND.jsonl` for every grammar into `out`; returns documents and bytes of each.

    Documents are the same for the same seed; asking for more adds documents behind those there were.
    """
    told: dict[str, Any] = {}
    for wanted in settings:
        writers: dict[str, Writer] = {language: GRAMMARS[wanted.kind][language] for language in wanted.languages}
        size = 0
        with (
            atomic_file(out / f"{wanted.kind}.jsonl") as aside,
            aside.open("w", encoding="utf-8") as lines,
            Progress(f"synthesize {wanted.kind}", wanted.documents, "docs") as bar,
        ):
            for document in generate(wanted.kind, writers, wanted.documents, seed):
                size += len(document["text"].encode())
                lines.write(json.dumps(document, ensure_ascii=False) + "\n")
                bar.add()
        told[wanted.kind] = {"documents": wanted.documents, "bytes": size}
    return told


RECORDS: dict[str, Callable[[int, int], Iterator[dict[str, Any]]]] = {
    "conversations": chats.conversations,
    "preferences": chats.preferences,
    "items": chats.items,
}


def write_records(what: str, count: int, seed: int, out: Path) -> int:
    """Write `WHAT.jsonl` into `out`: conversations, preferences, or items of every tested family; returns how many."""
    written = 0
    with atomic_file(out / f"{what}.jsonl") as aside, aside.open("w", encoding="utf-8") as lines:
        for record in RECORDS[what](count, seed):
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            written += 1
    return written
