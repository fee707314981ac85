"""Held-out bits per byte: what a model needs to encode a byte of text, comparable between tokenizers.

bits per byte = sum of -log2 p(token | tokens before it in its piece) / UTF-8 bytes of the text. Every token of the text
counts, the end mark does not; where the tokenizer has no begin mark, a document's first token is predicted from nothing
and its bytes are left out. A document longer than the context is read in pieces that do not overlap, so
the first tokens of each piece are predicted from little: the figure is an upper bound.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.progress import Progress
from tilth.tokens.reader import NO_LOSS, Sequence, SequenceReader
from tilth.tokens.store import TokenStore
from tilth.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tilth.model import Decoder


def bits_per_byte(
    model: Decoder, reader: SequenceReader, table: dict[str, dict[str, Any]], end: int | None, batch: int = 8
) -> dict[str, dict[str, Any]]:
    """Of each group: documents, bytes, tokens predicted, nats, loss (nats a token), bits per byte.

    `table` has the documents and bytes of each group; `end` is the id of the end mark. Results do not depend on `batch`
    but for rounding.
    """
    result = {}
    with Progress("evaluate", sum(reader.sizes), "sequences") as bar:
        for group, name in enumerate(reader.group_names):
            nats, tokens = 0.0, 0
            for first in range(0, reader.sizes[group], batch):
                indices = range(first, min(first + batch, reader.sizes[group]))
                sequences = [without_end(reader.read(group, i), end) for i in indices]
                total, count = _sum_of_losses(model, sequences)
                nats, tokens = nats + total, tokens + count
                bar.add(len(sequences), name)
            size = table[name]["bytes"]
            result[name] = {
                "documents": table[name]["documents"],
                "bytes": size,
                "tokens": tokens,
                "nats": nats,
                "loss": nats / max(tokens, 1),
                "bits_per_byte": nats / math.log(2) / max(size, 1),
            }
    return result


def without_first_tokens(
    table: dict[str, dict[str, Any]], store: TokenStore, tokenizer: Tokenizer
) -> dict[str, dict[str, Any]]:
    """The table of domains with the bytes of each document's first token, which nothing predicts, taken off."""
    domains = store.columns["domain"]
    unpredicted = dict.fromkeys(table, 0)
    for row in range(len(store)):
        if store.lengths[row] and domains[row] in unpredicted:
            unpredicted[domains[row]] += len(tokenizer.decode([int(store.read(row, 0, 1)[0])]).encode())
    return {name: {**entry, "bytes": entry["bytes"] - unpredicted[name]} for name, entry in table.items()}


def without_end(sequence: Sequence, end: int | None) -> Sequence:
    """The sequence without a loss on the end mark, which is no byte of the text."""
    targets = sequence.targets if end is None else np.where(sequence.targets == end, NO_LOSS, sequence.targets)
    return Sequence(sequence.inputs, targets.astype(np.int32), sequence.lengths, sequence.documents)


def _sum_of_losses(model: Decoder, sequences: list[Sequence]) -> tuple[float, int]:
    import torch

    from tilth.model import linear_cross_entropy
    from tilth.training.batch import make_batch

    with torch.no_grad():
        batch = make_batch(sequences).to(model.head_weight.device)
        hidden = model(batch.tokens, batch.positions, batch.boundaries)
        _, loss_N = linear_cross_entropy(hidden, model.head_weight, batch.targets)
        return float(loss_N.double().sum()), batch.target_count
