"""The recipe's `tokenizer:` section."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tilth.base.settings import Count, Settings

CHAT_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")


class TokenizerSettings(Settings):
    """Train a byte-level BPE, or use an existing tokenizer (`load`: a folder or a tokenizer.json)."""

    vocabulary: Count = Field(default=32_768, ge=300, description="pieces, special tokens included")
    train_bytes: Count = Field(
        default=64_000_000, ge=1, description="bytes of training text that merges are counted on"
    )
    minimum_frequency: int = Field(default=2, ge=1, description="a pair seen less often is never merged")
    special: tuple[str, ...] = Field(default=CHAT_TOKENS, description="reserved pieces beside begin, end and padding")
    load: Path | None = Field(default=None, description="use this tokenizer instead of training one")
