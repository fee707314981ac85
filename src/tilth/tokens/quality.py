"""What a tokenizer does to real text: is it lossless, and how far does it compress each domain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tilth.base.errors import UserError
from tilth.tokens.tokenizer import Tokenizer

# Hostile on purpose: other scripts, joined emoji, combining marks, controls, mixed line ends, special tokens as text.
HOSTILE = (
    "",
    " ",
    "\n\n\t  x = 1\r\n",
    "中文字符，与 English words 混排；３．１４ 和 3.14。",
    "繁體字與日本語のかな、한국어",
    "👩‍👩‍👧‍👦🏳️‍🌈 e\u0301 \u202eabc\u202c",
    "\x00\x01\x7f\u0085\u2028\ufeff",
    "<|bos|> and <|eos|> are plain text here",
    "𠮷野家 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "a" * 2000,
)


def check_lossless(tokenizer: Tokenizer, texts: Iterable[str]) -> int:
    """Encode and decode each text; returns how many were checked, raises UserError naming the first that changed."""
    checked = 0
    for text in (*HOSTILE, *texts):
        back = tokenizer.decode(tokenizer.encode(text), keep_special=True)
        if back != text:
            at = next(
                (i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), min(len(text), len(back))
            )
            raise UserError(
                f"the tokenizer is not lossless: {text[max(0, at - 20) : at + 20]!r} came back as "
                f"{back[max(0, at - 20) : at + 20]!r}",
                hint="use a byte-level tokenizer without a normalizer",
            )
        checked += 1
    return checked


def compression(tokenizer: Tokenizer, texts_by_domain: dict[str, list[str]]) -> list[dict[str, Any]]:
    """One row a domain: documents, bytes, tokens, bytes a token, characters a token."""
    rows = []
    for domain, texts in sorted(texts_by_domain.items()):
        tokens = sum(len(ids) for ids in tokenizer.encode_batch(texts))
        size = sum(len(text.encode()) for text in texts)
        characters = sum(map(len, texts))
        rows.append(
            {
                "domain": domain,
                "documents": len(texts),
                "bytes": size,
                "tokens": tokens,
                "bytes_per_token": round(size / max(tokens, 1), 4),
                "characters_per_token": round(characters / max(tokens, 1), 4),
            }
        )
    return rows
