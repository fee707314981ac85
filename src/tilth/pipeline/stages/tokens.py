"""Stages from documents to packed sequences: tokenizer, tokens, pack."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.base.files import fingerprint, read_json, write_json
from tilth.base.keyed import uniform
from tilth.corpus.running.shards import shard_paths
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stage import Context, Stage
from tilth.tokens.settings import TokenizerSettings

TOKENIZER_VERSION = 1
TOKENS_VERSION = 1
PACK_VERSION = 1

QUALITY_BYTES = 200_000
"""Text of a domain on which losslessness and compression are measured."""


def tokenizer_stage(recipe: Recipe, corpus: Stage | None, external: dict[str, Any]) -> Stage:
    """Train (or take) the tokenizer, prove it lossless, measure its compression by domain on the hold-out."""
    settings = recipe.tokenizer
    return Stage(
        "tokenizer",
        TOKENIZER_VERSION,
        {**settings.canonical(), "load": settings.load is not None, "seed": recipe.seed},
        partial(_make_tokenizer, settings=settings, seed=recipe.seed),
        {"corpus": corpus} if corpus else {},
        external,
    )


def _make_tokenizer(context: Context, settings: TokenizerSettings, seed: int) -> dict[str, Any]:
    from tilth.tokens.quality import check_lossless, compression
    from tilth.tokens.tokenizer import Tokenizer, train_bpe

    corpus = context.inputs.get("corpus")
    if settings.load is not None:
        tokenizer = Tokenizer.load(settings.load)
    else:
        assert corpus is not None
        texts = sample_texts(corpus / "documents", settings.train_bytes, seed)
        tokenizer = train_bpe(
            texts,
            vocabulary=settings.vocabulary,
            minimum_frequency=settings.minimum_frequency,
            special=settings.special,
        )
    by_domain = (corpus and (texts_by_domain(corpus / "holdout") or texts_by_domain(corpus / "documents"))) or {}
    checked = check_lossless(tokenizer, (text for texts in by_domain.values() for text in texts))
    table = compression(tokenizer, by_domain)
    tokenizer.save(context.out)
    write_json(context.out / "quality.json", {"lossless_texts": checked, "compression": table})
    return {"vocabulary": tokenizer.vocabulary_size, "lossless_texts": checked}


def sample_texts(folder: Path, budget: int, seed: int) -> Iterator[str]:
    """Documents whose keyed hash falls under budget / size: about `budget` bytes, the same ones each time."""
    import pyarrow.parquet as pq

    total = sum(text_bytes(file) for file in shard_paths(folder))
    share = min(1.0, budget / max(total, 1))
    for file in shard_paths(folder):
        for batch in pq.ParquetFile(file).iter_batches(columns=["id", "text"], batch_size=2048):
            for name, text in zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True):
                if share == 1.0 or uniform(seed, "tokenizer", name) < share:
                    yield text


def text_bytes(file: Path) -> int:
    """UTF-8 bytes of a Parquet file's texts (an upper bound: the column's uncompressed size)."""
    import pyarrow.parquet as pq

    metadata = pq.ParquetFile(file).metadata
    column = metadata.schema.names.index("text")
    return sum(metadata.row_group(i).column(column).total_uncompressed_size for i in range(metadata.num_row_groups))


def texts_by_domain(folder: Path) -> dict[str, list[str]]:
    """The first documents of each domain, up to QUALITY_BYTES of it."""
    import pyarrow.parquet as pq

    texts: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for file in shard_paths(folder):
        for batch in pq.ParquetFile(file).iter_batches(columns=["domain", "text"], batch_size=256):
            for domain, text in zip(batch["domain"].to_pylist(), batch["text"].to_pylist(), strict=True):
                if sizes.setdefault(domain, 0) < QUALITY_BYTES:
                    texts.setdefault(domain, []).append(text)
                    sizes[domain] += len(text.encode())
    return texts


def tokens_stage(corpus: Stage, tokenizer: Stage) -> Stage:
    """Encode kept documents and hold-out into token stores."""
    return Stage("tokens", TOKENS_VERSION, {}, _encode, {"corpus": corpus, "tokenizer": tokenizer})


def _encode(context: Context) -> dict[str, Any]:
    from tilth.tokens.encode import encode_files

    figures = {}
    for name, folder in (("train", "documents"), ("holdout", "holdout")):
        figures[name] = encode_files(
            shard_paths(context.inputs["corpus"] / folder),
            context.inputs["tokenizer"],
            context.out / name,
            context.work / name,
            workers=context.compute.data_workers,
            label=f"tokens {name}",
        )
    write_json(context.out / "summary.json", figures)
    return figures


def pack_stage(tokens: Stage, part: str, length: int, groups: list[str] | None, conditions: dict[str, str]) -> Stage:
    """Lay the documents of `groups` (None: every domain) out in sequences of `length` positions."""
    named = {name: conditions[name] for name in groups or () if name in conditions}
    suffix = "" if groups is None else f"-{fingerprint([groups, named])[:4]}"
    return Stage(
        f"pack-{part}-T{length}{suffix}",
        PACK_VERSION,
        {"part": part, "length": length, "groups": groups, "conditions": named},
        partial(_pack, part=part, length=length, groups=groups, conditions=named),
        {"tokens": tokens},
    )


def _pack(
    context: Context, part: str, length: int, groups: list[str] | None, conditions: dict[str, str]
) -> dict[str, Any]:
    from tilth.tokens.groups import resolve_groups
    from tilth.tokens.pack import build_pack
    from tilth.tokens.store import TokenStore

    store = TokenStore(context.inputs["tokens"] / part)
    columns = store.columns
    if not len(store):
        raise UserError(f"there is no document in the {part} part", hint="check corpus.holdout and the rules")
    names = groups if groups is not None else sorted(set(columns["domain"].tolist()))
    members = resolve_groups(names, conditions, columns)
    repeat = columns["repeat"].astype(np.int64) if "repeat" in columns else None
    pack = build_pack(store.lengths, members, length, repeat)
    pack.save(context.out)
    table = {
        name: {
            "documents": len(members[name]),
            "bytes": int(columns["bytes"][members[name]].sum()),
            "tokens": int(store.lengths[members[name]].sum()),
            "pairs": pack.pairs(name),
            "sequences": pack.sequences(name),
            "fill": round(pack.fill(name), 5),
        }
        for name in names
    }
    write_json(context.out / "groups.json", table)
    return table


def group_table(folder: Path) -> dict[str, dict[str, Any]]:
    """Documents, bytes, tokens, pairs, sequences and fill of each group of a pack artifact."""
    return dict(read_json(folder / "groups.json"))
