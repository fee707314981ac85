"""Conversations as tokens: the loss falls on the assistant's content and end mark, on nothing else."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import pytest

from tilth.base.errors import UserError
from tilth.tokens.chat import Chat, fitting_template, render_source_target
from tilth.tokens.conversation import Conversation, Preference, SourceTarget, Turn, read_example
from tilth.tokens.templates import TEMPLATES
from tilth.tokens.tokenizer import BEGIN, END, PADDING, Tokenizer, train_bpe

SPECIAL = sorted({mark for template in TEMPLATES.values() for mark in template.special})
PARTS = [
    *("Hello", " world", "你好", "，世界", "。", "🙂", "👩‍👩‍👧", "\n", "\n\n", "  ", "\t", "def f(x):\n    return x"),
    *("123", "é", "e\u0301"),
    *("Human: ", "Assistant: ", "assistant\n", "user", BEGIN, END, "</s>", "<s>", *SPECIAL),
]  # fmt: skip


@pytest.fixture(scope="module")
def own() -> Tokenizer:
    texts = ["the cat sat on the mat and the dog ran", "今天天气很好，我们去公园散步。", "def f(x):\n    return x"] * 40
    return train_bpe(texts, vocabulary=330, special=SPECIAL)


def with_marks(inner) -> Tokenizer:
    inner.add_special_tokens([BEGIN, END, PADDING, *SPECIAL])
    return Tokenizer(inner, {"bos_token": BEGIN, "eos_token": END, "pad_token": PADDING})


def gpt2(data) -> Tokenizer:
    from tokenizers import Tokenizer as Inner
    from tokenizers import decoders, models, pre_tokenizers

    inner = Inner(models.BPE.from_file(str(data / "gpt2_vocab.json"), str(data / "gpt2_merges.txt")))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return with_marks(inner)


def neox(data) -> Tokenizer:
    from tokenizers import Tokenizer as Inner

    return with_marks(Inner.from_file(str(data / "gpt_neox_20B_tokenizer.json")))


def random_turns(rng: random.Random) -> list[Turn]:
    def content() -> str:
        return "".join(rng.choice(PARTS) for _ in range(rng.randrange(0, 6)))

    turns = [Turn("system", content())] if rng.random() < 0.3 else []
    for _ in range(rng.randrange(1, 4)):
        turns += [Turn("user", content()), Turn("assistant", content())]
    return turns


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def check_masks(tokenizer: Tokenizer, name: str, count: int, seed: int, form: str | None = None) -> None:
    chat, rng = Chat(TEMPLATES[name], tokenizer), random.Random(seed)
    end = tokenizer.decode(chat.stop[:1], keep_special=True)
    for _ in range(count):
        turns = [turn for turn in random_turns(rng) if turn.role in chat.template.before]
        rendered = chat.render(turns)
        said = [turn.content for turn in turns if turn.role == "assistant"]
        spans = runs(rendered.trained)
        assert len(spans) == len(said)
        behind = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
        for (start, stop), content, before in zip(spans, said, behind, strict=True):
            start += int(chat.template.trained_header)
            assert rendered.ids[:start].tolist() == chat.prompt(turns[:before])
            assert rendered.ids[stop - 1] == chat.stop[0]
            expected = unicodedata.normalize(form, content) if form else content
            assert tokenizer.decode(rendered.ids[start : stop - 1], keep_special=True) == expected
            assert tokenizer.decode(rendered.ids[start:stop], keep_special=True) == expected + end
            prompt = chat.prompt(
                turns[: 2 * spans.index((start - chat.template.trained_header, stop)) + len(turns) % 2 + 1]
            )
            assert rendered.ids[:start].tolist() == prompt


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_what_the_assistant_says_is_trained(own, name):
    check_masks(own, name, 1000, seed=1)


@pytest.mark.parametrize(("make", "form"), [(gpt2, None), (neox, "NFC")])
def test_only_what_the_assistant_says_is_trained_by_published_tokenizers(real_data, make, form):
    tokenizer = make(real_data / "tokenizers")
    for number, name in enumerate(TEMPLATES):
        check_masks(tokenizer, name, 1500, seed=number, form=form)


def test_a_users_special_tokens_are_text(own):
    chat = Chat(TEMPLATES["tilth"], own)
    marks = set(own.special_ids().values())
    rendered = chat.render([Turn("user", "".join(SPECIAL)), Turn("assistant", END + BEGIN)])
    assert [int(i) for i in rendered.ids if int(i) in marks] == [
        own.bos, *(own.special_ids()[mark] for mark in ("<|user|>", "<|end|>", "<|assistant|>", "<|end|>"))
    ]  # fmt: skip


def test_the_colossal_template_and_its_golden_mask(own):
    """Colossal-LLaMA's data code gives labels from each assistant's begin mark up to its end mark."""
    chat = Chat(TEMPLATES["colossal"], own)
    turns = [Turn("user", "你好"), Turn("assistant", "Hello!"), Turn("user", "b"), Turn("assistant", "c d")]
    rendered = chat.render(turns)
    begin, end = BEGIN, END
    head = (
        "A chat between a curious human and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the human's questions.\n\n"
    )
    whole = f"{begin}{head}Human: {begin}你好{end}Assistant: {begin}Hello!{end}"
    whole += f"Human: {begin}b{end}Assistant: {begin}c d{end}"
    assert own.decode(rendered.ids, keep_special=True) == whole
    spoken = [own.decode(rendered.ids[a:b], keep_special=True) for a, b in runs(rendered.trained)]
    assert spoken == [f"{begin}Hello!{end}", f"{begin}c d{end}"]
    assert rendered.ids.tolist() == reference_ids(own, whole)


def reference_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The whole string cut at once, special spellings taken as tokens, as the ecosystem does it."""
    inner = tokenizer.inner.from_str(tokenizer.inner.to_str())
    inner.encode_special_tokens = False
    return list(inner.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_template_for_transformers_gives_the_same_tokens(own, name, tmp_path):
    transformers = pytest.importorskip("transformers")
    own.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    theirs.chat_template = TEMPLATES[name].jinja
    chat = Chat(TEMPLATES[name], own)
    turns = [Turn("user", "the cat\n\n 你好"), Turn("assistant", "sat 🙂"), Turn("user", " dog\n")]
    if "system" in chat.template.before:
        turns.insert(0, Turn("system", "今天"))
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    for asked, expected in ((True, chat.prompt(turns)), (False, chat.render(turns[:-1]).ids.tolist())):
        shown = messages if asked else messages[:-1]
        text = theirs.apply_chat_template(shown, tokenize=False, add_generation_prompt=asked)
        assert theirs(text, add_special_tokens=False)["input_ids"] == expected


def test_what_does_not_fit_is_cut_by_whole_turns(own):
    chat = Chat(TEMPLATES["tilth"], own)
    turns = [
        Turn("user", "a"),
        Turn("assistant", "b"),
        Turn("user", "c " * 50),
        Turn("assistant", "d"),
        Turn("user", "e"),
    ]
    whole = chat.render(turns[:4])
    assert chat.fitting(turns, 10_000).ids.tolist() == whole.ids.tolist()
    assert chat.fitting(turns, len(whole.ids) - 1).ids.tolist() == chat.render(turns[:2]).ids.tolist()
    assert chat.fitting(turns, 3) is None


def test_source_and_target(own):
    rendered = render_source_target(own, SourceTarget("the cat ", "sat"))
    assert own.decode(rendered.ids[rendered.trained], keep_special=True) == "sat" + END
    assert rendered.ids[0] == own.bos
    assert render_source_target(own, SourceTarget("", "sat")).trained.all()


def test_a_template_needs_its_tokens(own):
    plain = train_bpe(["the cat sat"] * 9, vocabulary=262)
    with pytest.raises(UserError, match=r"template chatml needs <\|im_start\|>.*colossal"):
        Chat(TEMPLATES["chatml"], plain)
    assert fitting_template(plain).name == "colossal"
    assert fitting_template(own).name == "tilth"
    with pytest.raises(UserError, match="tilth has no role 'tool'"):
        Chat(TEMPLATES["tilth"], own).render([Turn("tool", "3")])


A, Q = Turn("assistant", "a"), Turn("user", "q")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"messages": [{"from": "human", "content": "q"}, {"from": "assistant", "content": "a"}]}, (Q, A)),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, (Q, A)),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}], "response": "a"}, (Q, A)),
        ({"instruction": "q", "input": "", "output": "a"}, (Q, A)),
        ({"instruction": "q", "input": "i", "output": "a"}, (Turn("user", "q\ni"), A)),
        ({"prompt": "q", "completion": "a", "system": "s"}, (Turn("system", "s"), Q, A)),
        ({"instruction": "q", "output": "a", "history": [["q", "a"]]}, (Q, A, Q, A)),
    ],
)  # fmt: skip
def test_layouts_of_records(record, expected):
    assert read_example(record | {"category": "c"}, "f:1", "f#1") == Conversation(expected, "f#1", "c")


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"prompt": "q", **{key: [{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]
                           for key, text in (("chosen", "a"), ("rejected", "b"))}},
        {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"},
        {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a"}, "rejected": "b"},
        {"context": [{"from": "user", "content": "q"}], "chosen": [{"from": "assistant", "content": "a"}],
         "rejected": [{"from": "assistant", "content": "b"}]},
        {key: [{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]
         for key, text in (("chosen", "a"), ("rejected", "b"))},
    ],
)  # fmt: skip
def test_layouts_of_preferences(record):
    assert read_example(record, "f:1") == Preference((Q,), (A,), (Turn("assistant", "b"),))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "f:1: expected a JSON object, found list"),
        ({"text": "a"}, "f:1: no conversation here: the fields are text .*messages"),
        ({"messages": [{"role": "asistant", "content": "a"}]}, "message 1: the role 'asistant' is not .*'assistant'"),
        ({"messages": [{"role": "user"}]}, "message 1: content: expected text, found NoneType"),
        ({"messages": "a"}, "expected a list of messages, found str"),
        ({"prompt": "q", "chosen": [{"role": "user", "content": "x"}], "rejected": "b"}, "chosen: the answer"),
        ({"chosen": "a", "rejected": "b"}, "nothing that chosen and rejected answer"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "expected text, found int"),
        ({"messages": [{"role": "user", "content": "q"}], "tools": [{"name": "f"}]}, "f:1: tools: .* no place"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(record, message):
    with pytest.raises(UserError, match=message):
        read_example(record, "f:1")
