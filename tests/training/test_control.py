"""The control file and SIGUSR1: obeyed between two steps, written down, followed by a resumed run."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.training.fakes import FakeReader, FakeSequence
from tests.training.phases import COMPUTE, digest, phase, small_job, train
from tilth.base.events import read_journal
from tilth.training import Interrupted
from tilth.training.control import Control, take_control
from tilth.training.decisions import Decisions
from tilth.training.loop import _Loop
from tilth.training.settings import PhaseSettings

SETTINGS = phase(30, precision="fp32")


class Writes(FakeReader):
    """Does something when it reads its `at`-th sequence."""

    def __init__(self, at: int, act: Any) -> None:
        super().__init__()
        self.reads, self.at, self.act = 0, at, act

    def read(self, group: int, index: int) -> FakeSequence:
        self.reads += 1
        if self.reads == self.at:
            self.act()
        return super().read(group, index)


def writing(folder: Path, text: str, at: int = 60) -> Writes:
    return Writes(at, lambda: (folder / "control.yaml").write_text(text))


def rates(folder: Path) -> list[float]:
    return [record["learning_rate"] for record in read_journal(folder / "metrics.jsonl")]


def test_rates_change_and_a_resumed_run_follows(tmp_path: Path) -> None:
    asked = "learning_rate: 0.5\nweight_decay: 0.0\ngradient_clip: 0.1\n"
    train(tmp_path / "whole", SETTINGS, reader=writing(tmp_path / "whole", asked))
    (record,) = read_journal(tmp_path / "whole" / "decisions.jsonl")
    assert record["asked"] == {"learning_rate": 0.5, "weight_decay": 0.0, "gradient_clip": 0.1}
    found = rates(tmp_path / "whole")
    assert found[: record["step"]] == [4e-3] * record["step"]
    assert set(found[record["step"] :]) == {2e-3}
    assert not list((tmp_path / "whole").glob("control*"))

    folder = tmp_path / "stopped"
    reader = writing(folder, asked)
    train_until(folder, record["step"] + 4, reader)
    (again,) = read_journal(folder / "decisions.jsonl")
    if again["step"] == record["step"]:  # the file is seen at the border that the reader's thread has reached
        train(folder, SETTINGS)
        assert digest(folder) == digest(tmp_path / "whole")


def train_until(folder: Path, step: int, reader: FakeReader) -> None:
    """Stop behind `step`, then go on from the checkpoint before the change."""

    class Stop(Exception):
        pass

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint" and event["step"] >= step - step % 4:
            raise Stop

    with pytest.raises(Stop):
        train(folder, SETTINGS, reader=reader, on_event=stop)


def test_stop_at_and_save(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="after step 17"):
        train(tmp_path, SETTINGS, reader=writing(tmp_path, "stop_at: 17\nsave: true\n"))
    assert (tmp_path / "checkpoints" / "step-00000017").exists()
    assert train(tmp_path, SETTINGS).steps == 30


def test_what_cannot_change_is_refused_with_its_reason(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    train(tmp_path, SETTINGS, reader=writing(tmp_path, "save: false\noptimizer: adamw\n"), on_event=events.append)
    (message,) = [event["message"] for event in events if "control" in event.get("message", "")]
    assert "control.yaml:2: optimizer cannot change while training (another optimizer has another state" in message
    assert not list(tmp_path.glob("control*")), "a finished phase holds what it came to"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"learning_rat": 2}', "did you mean 'learning_rate'"),
        ("learning_rate:", "1: learning_rate: expected a number"),
        ("stop_at: null", "1: stop_at: expected a whole number"),
        ("checkpoint_steps: null", "1: checkpoint_steps: expected a whole number"),
        ("weight_decay: .inf", "1: weight_decay: must be finite"),
        ("weight_decay: null", "1: weight_decay: expected a number"),
        ("{}", "it asks for nothing"),
        ("", "the file is empty"),
        ("[1, 2]", "expected settings, as KEY: VALUE"),
        ("gradient_clip: 0", "1: gradient_clip"),
    ],
)
def test_what_asks_for_nothing_that_can_be_done_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "control.yaml"
    path.write_text(text)
    asked, refused = take_control(tmp_path, lambda _: None)
    assert asked is None
    assert refused is not None
    assert message in refused
    assert [left.name for left in tmp_path.iterdir()] == ["control.refused.yaml"]


def test_a_refused_file_makes_room_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "control.yaml").mkdir()
    assert "is a folder" in str(take_control(tmp_path, lambda _: None)[1])
    (tmp_path / "control.yaml").write_text("save: true")
    assert "not now" in str(take_control(tmp_path, lambda _: "not now")[1])
    assert (tmp_path / "control.refused.yaml").is_file()
    (tmp_path / "control.yaml").write_text("gradient_clip: null")
    assert take_control(tmp_path, lambda _: None) == ({"gradient_clip": None}, None)


@pytest.mark.parametrize(("stop", "message"), [(3, "has been taken"), (31, "the phase has 30 steps")])
def test_a_stop_that_never_comes_is_refused(tmp_path: Path, stop: int, message: str) -> None:
    events: list[dict[str, Any]] = []
    train(tmp_path, SETTINGS, reader=writing(tmp_path, f"stop_at: {stop}\n"), on_event=events.append)
    (warning,) = [event["message"] for event in events if "control" in event.get("message", "")]
    assert message in warning


def test_a_file_that_comes_too_late_is_told_and_does_not_stay(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    settings = phase(4, precision="fp32")
    loop = _Loop(small_job(tmp_path, settings), events.append)
    loop._border = lambda *_, **__: False  # type: ignore[method-assign]
    (tmp_path / "control.json").write_text('{"save": true}')
    loop.run()
    assert any("no step was left" in event.get("message", "") for event in events)
    assert not list(tmp_path.glob("control*"))


def test_another_control_file_where_one_is_followed_already_is_taken_too(tmp_path: Path) -> None:
    for asked in ({"learning_rate": 0.5}, {"learning_rate": 2.0}):
        decisions = Decisions(tmp_path / "decisions.jsonl", writes=True)
        decisions.take({"step": 9, "decision": "control", "asked": asked})
        assert (decisions.rate(9), decisions.rate(10)) == (1.0, asked["learning_rate"])
        decisions.close()
    assert Decisions(tmp_path / "decisions.jsonl", writes=False).rate(10) == 2.0


def test_sigusr1_saves_and_training_goes_on(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    compute = COMPUTE.model_copy(update={"checkpoint_steps": 100})
    reader = Writes(60, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    train(tmp_path, SETTINGS, compute=compute, reader=reader, on_event=events.append)
    assert sum(event["event"] == "checkpoint" for event in events) == 1


def test_what_may_change_is_asked_of_the_settings() -> None:
    from tilth.training.changes import as_text, resume_table

    table = {change.setting: change for change in resume_table()}
    for name in PhaseSettings.model_fields:
        assert table[f"pretrain.{name}"].on_resume.startswith("yes" if name == "max_epochs" else "no")
    assert table["compute.threads"].on_resume == "yes; the last bits may differ"
    assert table["compute.checkpoint_steps"].while_training == "yes"
    assert "gradient_clip" in Control.model_fields
    assert "another optimizer has another state" in as_text()


def test_a_decay_that_nothing_stands_in_proportion_to_is_refused_with_its_reason(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    settings = SETTINGS.model_copy(update={"optimizer": SETTINGS.optimizer.model_copy(update={"weight_decay": 0.0})})
    train(tmp_path, settings, reader=writing(tmp_path, "weight_decay: 0.1\n"), on_event=events.append)
    (message,) = [event["message"] for event in events if "control" in event.get("message", "")]
    assert "weight_decay cannot change where optimizer.weight_decay is 0" in message
    assert not [record for record in read_journal(tmp_path / "decisions.jsonl") if record["decision"] == "control"]
