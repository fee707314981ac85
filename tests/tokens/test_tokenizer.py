from __future__ import annotations

import json
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import read_zst
from tilth.base.errors import UserError
from tilth.tokens.encode import encode_files
from tilth.tokens.quality import HOSTILE, check_lossless, compression
from tilth.tokens.split import SPLIT_PATTERN
from tilth.tokens.store import TokenStore
from tilth.tokens.tokenizer import Tokenizer, train_bpe

TEXTS = [
    "The field was ploughed in 1987, and again in 2024; it's theirs.",
    "这块地在一九八七年耕过，2024 年又耕了一次。土壤很好，人们很高兴。",
    "def plough(field):\n    return field.turn(depth=30)\n\n\nclass Field:\n    pass\n",
] * 40


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(TEXTS, vocabulary=380, special=("<|user|>", "<|end|>"))


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text), keep_special=True) == text


def test_hostile_texts_and_every_byte(tokenizer):
    assert check_lossless(tokenizer, ["".join(map(chr, range(0x3000)))]) == len(HOSTILE) + 1
    pieces = tokenizer.inner.get_vocab()
    from tokenizers import pre_tokenizers

    assert all(letter in pieces for letter in pre_tokenizers.ByteLevel.alphabet())


def test_a_special_token_in_a_text_is_text(tokenizer):
    ids = tokenizer.encode("<|eos|><|user|>")
    assert not set(ids) & set(tokenizer.special_ids().values())


def test_digits_stand_alone_and_chinese_is_cut_from_latin(tokenizer):
    assert [tokenizer.decode([i]) for i in tokenizer.encode("1987")] == ["1", "9", "8", "7"]
    words = regex.findall(SPLIT_PATTERN, "用GPU训练 3.14 it's\n    x = 1")
    assert words == ["用", "GPU", "训练", " ", "3", ".", "1", "4", " it", "'s", "\n", "   ", " x", " =", " ", "1"]


def test_python_and_oniguruma_cut_alike(real_data):
    """The same pattern in two engines must mean the same."""
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated")
    for name in ("zh_wikipedia", "en_web_c4_sample", "code_python", "zh_poetry"):
        for record in read_zst(real_data / "pretrain" / f"{name}.jsonl.zst", 20):
            text = record["text"][:5000]
            assert [piece for piece, _ in split.pre_tokenize_str(text)] == regex.findall(SPLIT_PATTERN, text)


def test_more_pieces_than_the_text_gives_is_refused():
    with pytest.raises(UserError, match=r"50,000 pieces asked, but the training text gives only \d+"):
        train_bpe(TEXTS, vocabulary=50_000)


def test_training_is_repeatable(tokenizer):
    again = train_bpe(iter(TEXTS), vocabulary=380, special=("<|user|>", "<|end|>"))
    assert again.inner.to_str() == tokenizer.inner.to_str()


def test_transformers_reads_the_folder(tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS[:3]:
        assert theirs.encode(text, add_special_tokens=False) == tokenizer.encode(text)
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (
        tokenizer.bos,
        tokenizer.eos,
        tokenizer.pad,
    )


def test_compression_table(tokenizer):
    row = compression(tokenizer, {"farm": TEXTS[:2]})[0]
    assert row["bytes"] == sum(len(t.encode()) for t in TEXTS[:2])
    assert row["tokens"] == sum(len(tokenizer.encode(t)) for t in TEXTS[:2])


def write_documents(path, texts, domain):
    columns = {
        "id": [f"{domain}-{i}" for i in range(len(texts))],
        "text": pa.array(texts, pa.large_string()),
        "domain": [domain] * len(texts),
        "source": ["s"] * len(texts),
        "language": ["en"] * len(texts),
        "signal.words": pa.array(np.arange(len(texts), dtype=np.float32)),
    }
    pq.write_table(pa.table(columns), path)


def test_store_is_the_same_for_any_workers_and_holds_every_document(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer")
    write_documents(tmp_path / "a.parquet", ["", *TEXTS[:30]], "a")
    write_documents(tmp_path / "b.parquet", TEXTS[30:50], "b")
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        told = encode_files(files, tmp_path / "tokenizer", out, tmp_path / f"work{workers}", workers=workers)
    for name in ("tokens.bin", "tokens.idx", "documents.parquet"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()
    store = TokenStore(tmp_path / "out1")
    texts = ["", *TEXTS[:50]]
    assert told["documents"] == len(store) == len(texts)
    for i, text in enumerate(texts):
        ids = store.read(i)
        assert (ids[0], ids[-1]) == (tokenizer.bos, tokenizer.eos)
        assert tokenizer.decode(ids[1:-1].tolist(), keep_special=True) == text
    assert store.columns["domain"].tolist() == ["a"] * 31 + ["b"] * 20
    assert store.columns["bytes"].tolist() == [len(t.encode()) for t in texts]


def test_index_is_megatrons_layout(tokenizer, tmp_path):
    """Read with `struct` from the published layout, not with our own reader."""
    tokenizer.save(tmp_path / "tokenizer")
    write_documents(tmp_path / "a.parquet", TEXTS[:3], "a")
    encode_files([tmp_path / "a.parquet"], tmp_path / "tokenizer", tmp_path / "out", tmp_path / "work")
    data = (tmp_path / "out" / "tokens.idx").read_bytes()
    assert data[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, documents = struct.unpack_from("<QBQQ", data, 9)
    assert (version, code, sequences, documents) == (1, 8, 3, 4)
    lengths = struct.unpack_from("<3i", data, 34)
    pointers = struct.unpack_from("<3q", data, 46)
    assert pointers == (0, lengths[0] * 2, (lengths[0] + lengths[1]) * 2)
    assert struct.unpack_from("<4q", data, 70) == (0, 1, 2, 3)
    assert len(data) == 102


def test_a_cut_index_is_refused(tmp_path):
    (tmp_path / "tokens.idx").write_bytes(b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 1000, 1001))
    with pytest.raises(UserError, match="cut short"):
        TokenStore(tmp_path)


def test_loading_nonsense_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match=r"no tokenizer\.json"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": 1}))
    with pytest.raises(UserError, match=r"not a readable tokenizer\.json"):
        Tokenizer.load(tmp_path)
