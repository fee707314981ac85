"""Text as it comes is the text of all tokens, and every piece is whole characters."""

from __future__ import annotations

import random

import pytest

from tests.serving.helpers import TEXTS, tokenizer
from tilth.serving.text import TextStream
from tilth.tokens.tokenizer import Tokenizer

TOKENIZER = tokenizer()


def streamed(ids: list[int], stop: list[str] | None = None) -> list[str]:
    stream = TextStream(TOKENIZER, stop or [])
    pieces = [stream.add(token) for token in ids]
    return [*pieces, stream.finish()]


HOSTILE = ["", "👩\u200d👩\u200d👧🙂🌾", "Ω≈ç√ 𝔘𝔫𝔦 \n\t\r\n e\u0301", "田" * 40, "\ufffd\ufffd x"]


@pytest.mark.parametrize("text", [*TEXTS[:3], *HOSTILE])
def test_real_text_comes_whole(text: str) -> None:
    ids = TOKENIZER.encode(text)
    pieces = streamed(ids)
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_any_tokens_give_the_same_text_as_at_once() -> None:
    rng = random.Random(5)
    for _ in range(300):
        ids = [rng.randrange(TOKENIZER.vocabulary_size) for _ in range(rng.randrange(60))]
        assert "".join(streamed(ids)) == TOKENIZER.decode(ids)


def test_a_character_of_several_tokens_is_held_back_until_it_is_whole() -> None:
    ids = [TOKENIZER.encode("龘")[:2], TOKENIZER.encode("龘")[2:]]
    stream = TextStream(TOKENIZER)
    assert [stream.add(i) for i in ids[0]] == ["", ""]
    assert "".join(stream.add(i) for i in ids[1]) == "龘"


def test_a_sentencepiece_decoder_too() -> None:
    """Words that carry their space in front, and bytes as tokens of their own, as in Llama 2."""
    from tokenizers import Tokenizer as Inner
    from tokenizers import decoders, models, pre_tokenizers

    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *"abcdefghijklmnopqrstuvwxyz,.", "田"]
    inner = Inner(models.BPE({piece: i for i, piece in enumerate(pieces)}, [], byte_fallback=True, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    llama = Tokenizer(inner, {})
    text = "the field, 小麦 and 田里 🙂 wheat 龘龘龘."
    ids = llama.encode(text)
    stream = TextStream(llama)
    given = [*(stream.add(token) for token in ids), stream.finish()]
    assert "".join(given) == llama.decode(ids) == text
    assert not any("\ufffd" in piece for piece in given)
    assert sum(map(bool, given)) > 20


def test_stop_strings_cut_wherever_the_tokens_do() -> None:
    rng = random.Random(6)
    for _ in range(300):
        text = "".join(rng.choice("ab田🙂 ") for _ in range(30))
        stops = ["".join(rng.choice("ab田🙂 ") for _ in range(rng.randrange(1, 4))) for _ in range(2)]
        stream, ids = TextStream(TOKENIZER, stops), TOKENIZER.encode(text)
        given = ""
        for token in ids:
            given += stream.add(token)
            assert text.startswith(given)
            if stream.stopped:
                break
        given += stream.finish()
        found = [(place + len(stop), place) for stop in stops if (place := text.find(stop)) >= 0]
        assert stream.stopped == bool(found)
        assert given == (text[: min(found)[1]] if found else text)
