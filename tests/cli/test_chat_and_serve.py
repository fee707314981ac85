"""`tilth chat` and `tilth serve` as a shell runs them."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.pipeline.conftest import command, tilth
from tests.serving.conftest import same_threads  # noqa: F401 - a fixture
from tests.serving.helpers import run_folder
from tilth.cli.main import main

OPTIONS = ["--max-new-tokens", "12", "--threads", "1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("name", ["chat", "serve"])
def test_help_has_a_worked_example(name: str) -> None:
    done = tilth(name, "--help")
    assert done.returncode == 0
    assert "Example:" in done.stdout
    assert f"tilth {name} runs/quickstart" in done.stdout


def tilth_here(*arguments: object) -> int:
    """The command in this process, which has torch already."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_a_prompt_is_answered_once_and_lines_one_by_one(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tilth_here("chat", run, "--prompt", "你好 🙂", *OPTIONS, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["prompt"], answer["model"]) == ("你好 🙂", "farm")
    assert answer["finish_reason"] in ("stop", "length")
    lines = "你好 🙂\n\nAnd then?\n/reset\n你好 🙂\n/exit\nnever asked\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert tilth_here("chat", run, *OPTIONS, "--json") == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [a["prompt"] for a in answers] == ["你好 🙂", "And then?", "你好 🙂"]
    assert answers[0] == answers[2] == answer
    monkeypatch.setattr("sys.stdin", io.StringIO("你好 🙂\n"))
    assert tilth_here("chat", run, *OPTIONS) == 0
    assert capsys.readouterr().out == answer["answer"] + "\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chat", "RUN/nowhere"], "no such folder"),
        (["chat", "RUN/models/base", "--prompt", "x", *OPTIONS], "no chat template"),
        (["chat", "RUN/models", "--prompt", "x"], "several models"),
        (["chat", "RUN", "--prompt", "x" * 999, "--system", "y", *OPTIONS, "--dtype", "fp8"], "fp32 or bf16"),
        (["serve", "RUN/.."], "no exported model is here"),
        (["serve", "RUN", "--host", "nowhere.invalid"], "cannot be used"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_are_told_in_a_sentence(
    run: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tilth_here(*(argument.replace("RUN", str(run)) for argument in arguments)) == 2
    assert says in capsys.readouterr().err


def test_evaluate_takes_a_run_as_chat_does(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "items.jsonl").write_text('{"question": "2 + 2?", "answer": "4"}\n')
    asked = ["evaluate", run, "--tasks", tmp_path / "items.jsonl", "--answer-tokens", "2", "--json"]
    assert tilth_here(*asked, "--against", run / "models" / "sft") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert list(row["scores"]) == [str(run / "models" / "sft"), str(run)]
    assert tilth_here(*asked, "--against", run / "models" / "dpo") == 2
    assert "a model is given twice" in capsys.readouterr().err
    assert tilth_here("evaluate", run / "models", "--tasks", tmp_path / "items.jsonl") == 2
    assert "several models are here" in capsys.readouterr().err


def test_without_fastapi_serve_says_what_to_install(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tilth.serving.server.find_spec", lambda name: None)
    assert tilth_here("serve", run) == 2
    assert "pip install 'tilth[serve]'" in capsys.readouterr().err


def test_a_port_in_use_is_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert tilth_here("serve", run, "--port", taken.getsockname()[1]) == 2
    assert "cannot be used" in capsys.readouterr().err


class Terminal:
    """A process behind a pseudo-terminal."""

    def __init__(self, arguments: list[str]) -> None:
        self.handle, inside = pty.openpty()
        environment = {**os.environ, "TERM": "dumb"}
        self.process = subprocess.Popen(arguments, stdin=inside, stdout=inside, stderr=inside, env=environment)
        os.close(inside)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.handle], [], [], 0.2)[0]:
                self.seen += os.read(self.handle, 4096).decode(errors="replace")
        self.seen = self.seen.split(text, 1)[1]

    def type(self, text: str) -> None:
        os.write(self.handle, text.encode())


def test_in_a_terminal_ctrl_c_stops_the_answer_and_ctrl_d_leaves(run: Path) -> None:
    terminal = Terminal(command("chat", run, "--max-new-tokens", "100000", "--temperature", "0", "--threads", "1"))
    try:
        terminal.wait_for("\r\n> ")
        terminal.type("/help\n")
        terminal.wait_for("/reset forgets")
        terminal.wait_for("\r\n> ")
        terminal.type("Hello, field!\n")
        terminal.wait_for("field!\r\n")
        time.sleep(0.5)
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("(stopped)")
        terminal.wait_for("\r\n> ")
        terminal.type("/reset\n")
        terminal.wait_for("forgotten")
        terminal.wait_for("\r\n> ")
        terminal.type("\x04")
        assert terminal.process.wait(20) == 0
    finally:
        terminal.process.kill()
        os.close(terminal.handle)
