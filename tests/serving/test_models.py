"""Which models a path stands for, what they need to chat, and a dialogue's history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.serving.helpers import SETTINGS, export, tokenizer
from tilth.base.errors import UserError
from tilth.base.machine import cores
from tilth.model import Engine, Sampling, build
from tilth.serving.dialogue import Dialogue
from tilth.serving.folders import find_models, pick_model
from tilth.serving.models import ServedModel, fastest_threads, find_chat, load_model, set_threads
from tilth.tokens.conversation import Turn


def test_a_path_is_a_model_a_run_or_a_folder_of_models(run: Path, tmp_path: Path) -> None:
    stages = {name: run / "models" / name for name in ("base", "dpo", "sft")}
    assert find_models([run]) == stages
    assert list(find_models([run])) == ["base", "sft", "dpo"], "the latest stands last"
    assert find_models([run / "models"]) == stages
    assert find_models([run / "models" / "sft", run / "models" / "base"]) == {n: stages[n] for n in ("sft", "base")}
    assert find_models([run / "model"]) == {"farm": run / "model"}
    assert pick_model(run) == ("farm", run / "model")
    assert pick_model(run / "models" / "base") == ("base", stages["base"])
    old = tmp_path / "old"
    export(old / "export-1", 4)
    (old / "model").symlink_to("export-1")
    assert find_models([old]) == {"old": old / "model"}
    both = find_models([run, run / "models" / "sft" / ".." / ".." / "model"])
    assert set(both) == {*stages, "farm"}


def test_models_of_the_same_name_are_called_by_their_run(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "orchard" / "models" / "sft"
    other.parent.mkdir(parents=True)
    other.symlink_to(run / "models" / "sft")
    found = find_models([run / "models" / "sft", other])
    assert list(found) == ["farm/sft", "orchard/sft"]


def test_what_is_no_model_is_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        find_models([tmp_path / "nowhere"])
    with pytest.raises(UserError, match=r"config\.json, tokenizer\.json missing"):
        find_models([tmp_path])
    with pytest.raises(UserError, match=r"several models are here.*models/sft"):
        pick_model(run / "models")


def test_the_template_is_the_named_one_else_the_fitting_one() -> None:
    known = tokenizer()
    chat = find_chat(known)
    assert chat is not None
    assert chat.template.name == "tilth"
    known.config["tilth_template"] = "colossal"
    chat = find_chat(known)
    assert chat is not None
    assert chat.template.name == "colossal"
    known.config["tilth_template"] = "chatlm"
    with pytest.raises(UserError, match="chatml"):
        find_chat(known)
    assert find_chat(tokenizer(chat=False)) is None


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    export(tmp_path, 1)
    config = json.loads((tmp_path / "config.json").read_text())
    other = build(SETTINGS.config(100), seed=0)
    from tilth.model import export_model

    export_model(other, tmp_path)
    assert config["vocab_size"] > 100
    with pytest.raises(UserError, match="the model 100"):
        load_model("x", tmp_path)


def served(context: int | None = None) -> ServedModel:
    known = tokenizer()
    engine = Engine(build(SETTINGS.config(known.vocabulary_size), seed=2), context=context)
    return ServedModel("sft", engine, known, find_chat(known))


def test_a_dialogue_keeps_its_history() -> None:
    model = served()
    dialogue = Dialogue(model, "Be kind. 要友善。", Sampling(1.0), max_new=12, seed=4)
    first, second = ("".join(dialogue.answer(text)) for text in ("Hello 🙂", "再说一遍"))
    roles = [turn.role for turn in dialogue.turns]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    assert [turn.content for turn in dialogue.turns[1:]] == ["Hello 🙂", first, "再说一遍", second]
    assert dialogue.finish_reason in ("stop", "length")
    dialogue.reset()
    assert "".join(dialogue.answer("Hello 🙂")) == first


def test_a_closed_answer_stays_as_far_as_it_came() -> None:
    model = served()
    dialogue = Dialogue(model, sampling=Sampling(), max_new=40)
    pieces = dialogue.answer("Hello")
    begun = next(pieces) + next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert dialogue.turns == [Turn("user", "Hello"), Turn("assistant", begun)]
    assert dialogue.finish_reason == "cancelled"
    assert "".join(dialogue.answer("And more?"))
    assert not model.engine.busy


def test_a_full_context_forgets_the_oldest_exchanges() -> None:
    dialogue = Dialogue(served(context=100), "Short.", Sampling(1.0), max_new=20)
    for number in range(6):
        "".join(dialogue.answer(f"Question {number}, 问题 {number}"))
    assert dialogue.forgotten > 0
    assert dialogue.forgotten % 2 == 0
    assert len(dialogue.turns) == 13
    with pytest.raises(UserError, match="the context holds 100"):
        next(iter(dialogue.answer("x" * 300)))
    assert len(dialogue.turns) == 13


def test_a_base_model_says_what_is_missing() -> None:
    model = served()
    model.chat = None
    with pytest.raises(UserError, match="is a base model: it has no chat template"):
        Dialogue(model)


def test_threads_are_chosen_by_measuring() -> None:
    model = served()
    assert 1 <= fastest_threads(model.engine) <= cores()
    assert not model.engine.busy


def test_threads_are_chosen_once_for_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [served() for _ in range(3)]
    larger = SETTINGS.model_copy(update={"layers": 3}).config(models[1].tokenizer.vocabulary_size)
    models[1].engine = Engine(build(larger, seed=2))
    measured = []
    monkeypatch.setattr("tilth.serving.models.fastest_threads", lambda engine: measured.append(engine) or 1)
    assert set_threads(models) == torch.get_num_threads() == 1
    assert measured == [models[1].engine], "one measurement, of the largest"
    assert set_threads(models, 2) == torch.get_num_threads() == 2
    assert len(measured) == 1
