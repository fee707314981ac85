"""A tokenizer: text to ids and back, in the ecosystem's `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.base.files import read_json, write_json, write_text
from tilth.tokens.split import SPLIT_PATTERN
from tilth.tokens.templates import ChatTemplate

BEGIN, END, PADDING = "<|bos|>", "<|eos|>", "<|pad|>"
TEMPLATE = "tilth_template"
"""In tokenizer_config.json: the name of the chat template that the model was tuned with; null: with none."""
_ENCODE_CHARACTERS = 1 << 18
"""Of text handed to the encoder at once: what it returns takes about a hundred bytes a token."""


class Tokenizer:
    """Wraps a `tokenizers.Tokenizer`; a special token's spelling inside a text is encoded as plain text.

    `bos`, `eos`, `pad` are ids, or None where the tokenizer has no such token.
    """

    def __init__(self, inner: Any, config: dict[str, Any]) -> None:
        self.inner = inner
        self.inner.encode_special_tokens = True  # what a user writes is never a control token
        self.config = config
        self.bos = self._special("bos_token")
        self.eos = self._special("eos_token")
        self.pad = self._special("pad_token")

    def _special(self, name: str) -> int | None:
        token = self.config.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        return None if token is None else self.inner.token_to_id(token)

    @property
    def vocabulary_size(self) -> int:
        """Pieces, special tokens included (one more than the highest id)."""
        return int(max(self.inner.get_vocab().values())) + 1

    def encode(self, text: str) -> list[int]:
        """Ids of one text, without begin and end."""
        return list(self.inner.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids (int32) of each text, without begin and end."""
        result: list[np.ndarray] = []
        for batch in _batches(texts):
            encoded = self.inner.encode_batch_fast(batch, add_special_tokens=False)
            result += [np.asarray(e.ids, dtype=np.int32) for e in encoded]
        return result

    def document(self, ids: np.ndarray) -> np.ndarray:
        """`[bos] ids [eos]`, with the marks that this tokenizer has."""
        head = [] if self.bos is None else [self.bos]
        tail = [] if self.eos is None else [self.eos]
        return np.concatenate([np.asarray(head, ids.dtype), ids, np.asarray(tail, ids.dtype)])

    def decode(self, ids: Iterable[int], *, keep_special: bool = False) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD."""
        return str(self.inner.decode(list(ids), skip_special_tokens=not keep_special))

    def special_ids(self) -> dict[str, int]:
        """Every special token and its id."""
        return {t.content: i for i, t in sorted(self.inner.get_added_tokens_decoder().items()) if t.special}

    def save(self, folder: Path, template: ChatTemplate | None = None) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json` as transformers reads them, with the chat template."""
        chat = {} if template is None else {"chat_template": template.jinja, TEMPLATE: template.name}
        write_text(folder / "tokenizer.json", self.inner.to_str(pretty=False))
        write_json(folder / "tokenizer_config.json", self.config | chat)

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read a folder with `tokenizer.json`, or such a file itself."""
        from tokenizers import Tokenizer as Inner

        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.exists():
            raise UserError("there is no tokenizer.json here", where=str(path), hint="give a folder that holds one")
        try:
            inner = Inner.from_file(str(file))
        except Exception as error:  # the library raises plain Exception for every kind of bad file
            raise UserError(f"not a readable tokenizer.json: {error}", where=str(file)) from None
        config_file = file.with_name("tokenizer_config.json")
        try:
            return cls(inner, read_json(config_file) if config_file.exists() else _guess_config(inner))
        except ValueError as error:
            raise UserError(f"not valid JSON: {error}", where=str(config_file)) from None


def train_bpe(
    texts: Iterable[str], *, vocabulary: int, minimum_frequency: int = 2, special: Sequence[str] = ()
) -> Tokenizer:
    """Train a byte-level BPE (Sennrich et al., 2016; bytes as in GPT-2) with the pattern of `tokens.split`.

    All 256 bytes are pieces, so every text has an encoding and decoding gives it back. Raises UserError when the
    texts hold too few repeated pairs for `vocabulary` pieces.
    """
    from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as Inner

    marks = [BEGIN, END, PADDING, *special]
    inner = Inner(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=minimum_frequency,
        special_tokens=[AddedToken(mark, special=True, normalized=False) for mark in marks],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    found = inner.get_vocab_size()
    if found < vocabulary:
        raise UserError(
            f"tokenizer.vocabulary: {vocabulary:,} pieces asked, but the training text gives only {found:,}",
            hint=f"set tokenizer.vocabulary to {found:,} or less, or give more text",
        )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": PADDING,
        "additional_special_tokens": list(special),
        "clean_up_tokenization_spaces": False,
    }
    return Tokenizer(inner, config)


def _guess_config(inner: Any) -> dict[str, Any]:
    """Begin and end of a tokenizer.json that came alone, by the usual spellings."""
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for name, spellings in (
        ("bos_token", (BEGIN, "<s>", "<|begin_of_text|>")),
        ("eos_token", (END, "</s>", "<|end_of_text|>", "<|endoftext|>")),
        ("pad_token", (PADDING, "<pad>")),
    ):
        config[name] = next((s for s in spellings if inner.token_to_id(s) is not None), None)
    return config


def _batches(texts: Sequence[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _ENCODE_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
