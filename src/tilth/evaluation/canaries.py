"""What a model gives away of the secrets that were planted in its training text.

After Carlini et al., "The Secret Sharer" (2019, arXiv 1802.08232). A secret is *extracted* where the likeliest
continuation of its sentence begins with it. Its *exposure* in bits, -log2 of the share of secrets of its space that the
model finds at least as likely (section 4.3), is estimated from others drawn at random: log2(K + 1) - log2(rank among
the K others), so at most log2(K + 1). A model that never saw a secret has an exposure of about 1.4 bits in the mean.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.keyed import stable_hash
from tilth.base.progress import Progress
from tilth.corpus.privacy.canaries import Canary, draw_secret
from tilth.tokens.reader import Sequence as Packed
from tilth.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tilth.model import Decoder

OTHERS = 255
"""Secrets of the same space that each is ranked among."""
_TOKENS = 8192
"""Of one forward, about."""


def give_away(
    model: Decoder, tokenizer: Tokenizer, canaries: Sequence[Canary], seed: int = 0, others: int = OTHERS
) -> list[dict[str, Any]]:
    """A row for each canary: id, kind, language, repeats, said (behind its prompt), extracted, exposure (bits)."""
    said = _continue(model, tokenizer, canaries)
    rows = []
    with Progress("canaries", len(canaries), "canaries") as bar:
        for canary, words in zip(canaries, said, strict=True):
            rng = random.Random(stable_hash(seed, "exposure", canary.id))
            secrets = [canary.secret, *(draw_secret(canary.kind, rng) for _ in range(others))]
            likely = _log_probabilities(model, tokenizer, [canary.text.replace(canary.secret, s) for s in secrets])
            rank = int((likely >= likely[0]).sum())
            rows.append(
                {
                    "id": canary.id,
                    "kind": canary.kind,
                    "language": canary.language,
                    "repeats": canary.repeats,
                    "said": words,
                    "extracted": words.startswith(canary.secret),
                    "exposure": math.log2(others + 1) - math.log2(rank),
                }
            )
            bar.add(1)
    return rows


def by_repeats(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many canaries of each number of repeats were extracted, and their mean exposure in bits."""
    table = []
    for repeats in sorted({row["repeats"] for row in rows}):
        chosen = [row for row in rows if row["repeats"] == repeats]
        extracted, bits = sum(row["extracted"] for row in chosen), sum(row["exposure"] for row in chosen)
        table.append(
            {"repeats": repeats, "canaries": len(chosen), "extracted": extracted, "exposure": bits / len(chosen)}
        )
    return table


def _continue(model: Decoder, tokenizer: Tokenizer, canaries: Sequence[Canary]) -> list[str]:
    """The likeliest continuations of the prompts, as long as the secrets are."""
    from tilth.model import generate

    begin = [] if tokenizer.bos is None else [tokenizer.bos]
    prompts = [[*begin, *tokenizer.encode(canary.prompt.rstrip())] for canary in canaries]
    longest = max(len(tokenizer.encode(canary.secret)) for canary in canaries) + 2
    stop = () if tokenizer.eos is None else (tokenizer.eos,)
    found = generate(model, prompts, max_new=longest, stop=stop)
    return [tokenizer.decode(continuation.tokens).strip() for continuation in found]


def _log_probabilities(model: Decoder, tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """float64[texts], nats; where there is no begin mark, the first token is predicted from nothing and left out."""
    begin = [] if tokenizer.bos is None else [tokenizer.bos]
    documents = [[*begin, *tokenizer.encode(text)] for text in texts]
    return np.concatenate([_sums(model, part) for part in _parts(documents)])


def _parts(documents: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    size = max(1, _TOKENS // max(map(len, documents)))
    for first in range(0, len(documents), size):
        yield list(documents[first : first + size])


def _sums(model: Decoder, documents: Sequence[list[int]]) -> np.ndarray:
    import torch

    from tilth.model.loss import token_log_probabilities
    from tilth.training.batch import make_batch

    inputs = np.concatenate([document[:-1] for document in documents]).astype(np.int32)
    targets = np.concatenate([document[1:] for document in documents]).astype(np.int32)
    lengths = np.array([len(document) - 1 for document in documents])
    batch = make_batch([Packed(inputs, targets, lengths, np.arange(len(documents)))]).to(model.head_weight.device)
    with torch.no_grad():
        hidden_NH = model(batch.tokens, batch.positions, batch.boundaries)
        log_N = token_log_probabilities(hidden_NH, model.head_weight, batch.targets)
        return batch.sum_segments(log_N).cpu().numpy()
