"""What a model gives away: one that has learnt some secrets by heart, beside probabilities counted text by text."""

from __future__ import annotations

import math

import pytest
import torch

from tilth.corpus.privacy.canaries import Canary, draw
from tilth.corpus.settings import CanarySettings
from tilth.evaluation.canaries import by_repeats, give_away
from tilth.model import Boundaries, Decoder, ModelSettings, build, linear_cross_entropy
from tilth.tokens.tokenizer import Tokenizer, train_bpe

CANARIES = draw(CanarySettings(count=12, repeat=[1, 4]))


def tensors(tokens: list[int]) -> tuple[torch.Tensor, torch.Tensor, Boundaries]:
    length = len(tokens)
    return torch.tensor(tokens), torch.arange(length), Boundaries(torch.tensor([0, length], dtype=torch.int32), 1)


def learn(model: Decoder, tokenizer: Tokenizer, canaries: list[Canary]) -> None:
    """Until each of their texts is almost certain."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    documents = [[tokenizer.bos or 0, *tokenizer.encode(canary.text)] for canary in canaries]
    for _ in range(60):
        for document in documents:
            total, _ = linear_cross_entropy(
                model(*tensors(document[:-1])), model.head_weight, torch.tensor(document[1:]), 1 / len(document)
            )
            optimizer.zero_grad()
            total.backward()
            optimizer.step()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe([canary.prompt for canary in CANARIES] * 3, vocabulary=300)


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Decoder:
    """It knows the canaries that stand four times an epoch and no other."""
    torch.set_num_threads(1)
    settings = ModelSettings(hidden=64, layers=2, heads=2, intermediate=128, max_positions=128)
    model = build(settings.config(tokenizer.vocabulary_size), seed=3)
    learn(model, tokenizer, [canary for canary in CANARIES if canary.repeats == 4])
    return model.eval()


def test_what_was_learnt_by_heart_is_given_away_and_nothing_else(model: Decoder, tokenizer: Tokenizer) -> None:
    rows = give_away(model, tokenizer, CANARIES, seed=1)
    assert [row["id"] for row in rows] == [canary.id for canary in CANARIES]
    for row, canary in zip(rows, CANARIES, strict=True):
        assert row["extracted"] == (canary.repeats == 4)
        if row["extracted"]:
            assert row["said"].startswith(canary.secret)
            assert row["exposure"] == 8  # likelier than all of 255 others
    unknown, known = by_repeats(rows)
    assert (known["repeats"], known["canaries"], known["extracted"], known["exposure"]) == (4, 6, 6, 8)
    assert (unknown["canaries"], unknown["extracted"]) == (6, 0)
    assert unknown["exposure"] < 4
    assert give_away(model, tokenizer, CANARIES, seed=1) == rows


def test_the_rank_is_that_of_texts_scored_one_by_one(
    model: Decoder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def noting(kind: str, rng: object) -> str:
        drawn.append(f"{len(drawn):09d}" if kind == "digits" else "abcdefgh"[len(drawn) % 8] * 8)
        return drawn[-1]

    monkeypatch.setattr("tilth.evaluation.canaries.draw_secret", noting)
    canary = next(canary for canary in CANARIES if canary.kind == "digits" and canary.repeats == 1)
    (row,) = give_away(model, tokenizer, [canary], others=20)

    def score(secret: str) -> float:
        tokens = [tokenizer.bos or 0, *tokenizer.encode(canary.text.replace(canary.secret, secret))]
        with torch.no_grad():
            logits = model.logits(model(*tensors(tokens[:-1])))
        return float(torch.log_softmax(logits.double(), -1)[range(len(tokens) - 1), tokens[1:]].sum())

    rank = sum(score(secret) >= score(canary.secret) for secret in [canary.secret, *drawn])
    assert len(drawn) == 20
    assert row["exposure"] == pytest.approx(math.log2(21) - math.log2(rank))


def test_a_model_that_saw_none_exposes_little_more_than_chance(tokenizer: Tokenizer) -> None:
    settings = ModelSettings(hidden=32, layers=1, heads=2, intermediate=64, max_positions=128)
    many = draw(CanarySettings(count=60, repeat=[1]))
    rows = give_away(build(settings.config(tokenizer.vocabulary_size), seed=1).eval(), tokenizer, many, others=63)
    (mean,) = by_repeats(rows)
    assert mean["extracted"] == 0
    assert 1.44 - 0.75 < mean["exposure"] < 1.44 + 0.75  # 1.44 ± 4 standard errors of 1.44 / √60
