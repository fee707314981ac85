"""Files of conversations become a token store with a loss mask; nothing is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tilth.base.errors import UserError
from tilth.base.files import digest_file
from tilth.corpus.settings import SourceSettings
from tilth.corpus.sources import find_files
from tilth.posttrain.data import Rendering, render_files, without_loss
from tilth.tokens.pack import build_pack
from tilth.tokens.reader import NO_LOSS, SequenceReader
from tilth.tokens.settings import CHAT_TOKENS
from tilth.tokens.store import TokenStore
from tilth.tokens.tokenizer import Tokenizer, train_bpe

GOOD = {"messages": [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "sat"}]}
LONG = {"messages": [{"role": "user", "content": "cat " * 100}, {"role": "assistant", "content": "sat"}]}
PAIR = {"prompt": "the cat", "chosen": "sat", "rejected": "ran"}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = ["the cat sat on the mat and the dog ran", "今天天气很好，我们去公园散步。"] * 40
    train_bpe(texts, vocabulary=310, special=CHAT_TOKENS).save(folder)
    return folder


def write(folder: Path, name: str, records: list) -> None:
    lines = (record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def render(
    folder: Path, tokenizer: Path, *, length: int = 64, pairs: bool = False, workers: int = 1, pattern="*.jsonl"
):
    files = find_files([SourceSettings(path=str(folder / pattern))], folder)
    out = folder / f"out{workers}"
    report = render_files(
        files, Rendering(tokenizer, "tilth", length, pairs), out, folder / f"w{workers}", workers=workers
    )
    return TokenStore(out), report


def test_every_record_is_somewhere(tmp_path, tokenizer):
    write(
        tmp_path,
        "a.jsonl",
        [GOOD, "{broken", LONG, {"text": "x"}, {"source": "the ", "target": "cat", "category": "zoo"}],
    )
    write(tmp_path, "b.jsonl", [{**GOOD, "domain": "d"}, {"messages": [{"role": "user", "content": "q"}]}])
    store, report = render(tmp_path, tokenizer)
    assert report["records_read"] == report["examples"] + report["unreadable"] + report["too_long"] == 7
    assert (report["unreadable"], report["too_long"]) == (3, 1)
    assert [(f["file"], f["line"]) for f in report["faults"]] == [
        ("a.jsonl", 2), ("a.jsonl", 3), ("a.jsonl", 4), ("b.jsonl", 2)
    ]  # fmt: skip
    assert store.columns["domain"].tolist() == ["a", "zoo", "d"]


def test_the_loss_falls_where_the_mask_says(tmp_path, tokenizer):
    write(tmp_path, "a.jsonl", [GOOD] * 3 + [{"source": "the ", "target": "dog"}])
    store, report = render(tmp_path, tokenizer)
    coder = Tokenizer.load(tokenizer)
    reader = SequenceReader(store, build_pack(store.lengths, {"all": np.arange(4)}, 64))
    found = [reader.read(0, i) for i in range(reader.sizes[0])]
    targets = np.concatenate([s.targets for s in found])
    said = coder.decode(targets[targets != NO_LOSS], keep_special=True)
    assert sorted(said.replace("<|eos|>", "<|end|>").split("<|end|>")) == ["", "dog", "sat", "sat", "sat"]
    assert (targets != NO_LOSS).sum() == report["trained_tokens"]


def test_preferences_that_teach_nothing_are_named(tmp_path, tokenizer):
    empty = {**PAIR, "rejected": ""}
    write(tmp_path, "p.jsonl", [PAIR, {**PAIR, "rejected": "sat"}, {**PAIR, "chosen": " "}, empty])
    store, report = render(tmp_path, tokenizer, pairs=True)
    assert len(store) == 4
    assert [(f["line"], f["reason"]) for f in report["faults"]] == [
        (2, "chosen and rejected are the same"),
        (3, "the chosen answer is empty"),
    ]


def test_an_answer_of_nothing_is_no_answer(tmp_path, tokenizer):
    nothing = {"messages": [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": " \n"}]}
    write(tmp_path, "a.jsonl", [GOOD, nothing])
    _, report = render(tmp_path, tokenizer)
    assert [f["reason"] for f in report["faults"]] == ["the assistant says nothing"]


def test_cut_in_the_middle_of_a_document(tmp_path, tokenizer):
    """A reader whose sequences are shorter than a document still masks the same tokens."""
    write(tmp_path, "a.jsonl", [{"messages": [*GOOD["messages"] * 3]}] * 2)
    store, report = render(tmp_path, tokenizer)
    for length in (1, 2, 3, 7, 64):
        reader = SequenceReader(store, build_pack(store.lengths, {"all": np.arange(2)}, length))
        count = sum((reader.read(0, i).targets != NO_LOSS).sum() for i in range(reader.sizes[0]))
        assert count == report["trained_tokens"]


def test_pairs_stand_side_by_side(tmp_path, tokenizer):
    write(tmp_path, "a.jsonl", [PAIR, {**PAIR, "chosen": "sat " * 70}])
    store, report = render(tmp_path, tokenizer, pairs=True)
    coder = Tokenizer.load(tokenizer)
    assert [coder.decode(store.read(i)) for i in range(len(store))] == ["the catsat", "the catran"]
    assert report["too_long"] == 1


def test_only_what_is_preferred_is_trained(tmp_path, tokenizer):
    said = (("user", "the"), ("assistant", "dog"), ("user", "cat"))
    turns = [{"role": role, "content": content} for role, content in said]
    write(tmp_path, "a.jsonl", [{"prompt": turns, "chosen": "sat", "rejected": "ran"}])
    store, _ = render(tmp_path, tokenizer, pairs=True)
    coder = Tokenizer.load(tokenizer)
    reader = SequenceReader(store, build_pack(store.lengths, {"all": np.arange(2)}, 64))
    targets = reader.read(0, 0).targets
    assert coder.decode(targets[targets != NO_LOSS], keep_special=True) in (
        "sat<|end|>ran<|end|>",
        "ran<|end|>sat<|end|>",
    )


def test_many_workers_and_a_second_start_give_the_same_store(tmp_path, tokenizer):
    for name in "abc":
        write(tmp_path, f"{name}.jsonl", [GOOD, PAIR, LONG])
    first, one = render(tmp_path, tokenizer)
    second, two = render(tmp_path, tokenizer, workers=2)
    again, three = render(tmp_path, tokenizer, workers=2)
    names = ("tokens.bin", "tokens.idx", "documents.parquet", "report.json")
    digests = [[digest_file(store.folder / name) for name in names] for store in (first, second, again)]
    assert digests[0] == digests[1] == digests[2]
    assert one == two == three


@pytest.mark.parametrize(
    ("records", "pairs", "message"),
    [
        (
            [{"messages": [{"role": "narrator", "content": "x"}]}],
            False,
            r"a\.jsonl:1: .*role 'narrator' is not",
        ),
        ([LONG], False, r"a\.jsonl:1: none of 1 records .*over 65 tokens"),
        ([{"source": "", "target": "the cat"}], False, "every token has a loss"),
        ([GOOD], True, r"a\.jsonl:1: a preference has chosen and rejected"),
        (["{"], False, r"a\.jsonl:1: none of 1 records"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path, tokenizer, records, pairs, message):
    write(tmp_path, "a.jsonl", records)
    with pytest.raises(UserError, match=message):
        render(tmp_path, tokenizer, pairs=pairs)
    assert not (tmp_path / "out1" / "tokens.bin").exists()


def test_real_files(real_data, tokenizer, tmp_path):
    for kind, pairs in (("sft", False), ("prefs", True)):
        for path in sorted((real_data / kind).glob("*.jsonl.zst")):
            if any(part in path.name for part in ("seed_tasks", "t0_tasks", "kto", "oasst")):
                continue  # layouts without turns of their own
            files = find_files([SourceSettings(path=str(path))], tmp_path)
            if "glaive" in path.name:
                continue  # tool calls, for which the small tokenizer's template has no role
            rendering = Rendering(tokenizer, "tilth", 4096, pairs)
            report = render_files(files, rendering, tmp_path / path.name / "out", tmp_path / path.name / "work")
            assert report["records_read"] == report["examples"] + report["unreadable"] + report["too_long"]
            assert report["examples"] > 0.4 * report["records_read"], (path.name, report)


@pytest.mark.parametrize("mask", ["", "0", "1", "0110", "1001", "00111", "11100"])
def test_spans_without_loss(mask):
    trained = np.array([c == "1" for c in mask], bool)
    again = np.ones(len(mask), bool)
    for start, stop in without_loss(trained):
        again[start:stop] = False
    assert again.tolist() == trained.tolist()
