"""The pages about serving: both languages show the same code, and all of it runs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.helpers import export

DOCS = Path(__file__).resolve().parents[2] / "docs"
TILTH = f"{shlex.quote(sys.executable)} -m tilth.cli.main"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("language", ["bash", "python"])
def test_both_languages_show_the_same_code(language: str) -> None:
    assert blocks("serving.md", language) == blocks("serving.zh.md", language)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished run `runs/quickstart`, as `tilth run` leaves it."""
    home = tmp_path_factory.mktemp("home")
    run = home / "runs" / "quickstart"
    (run / "models").mkdir(parents=True)
    for number, name in enumerate(("base", "sft", "dpo")):
        export(run / f"export-{name}-1", number, chat=name != "base")
        (run / "models" / name).symlink_to(Path("..") / f"export-{name}-1")
    (run / "model").symlink_to("export-dpo-1")
    return home


@pytest.fixture(scope="module")
def port(home: Path) -> Iterator[int]:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    line = next(line for line in blocks("serving.md", "bash")[1].splitlines() if line.startswith("tilth serve"))
    command = f"exec {TILTH} {line.removeprefix('tilth').replace('8000', '0')} --threads 1"
    server = subprocess.Popen(command, shell=True, cwd=home, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield int(next(line for line in server.stdout if line.startswith("http://")).rsplit(":", 1)[1])
    server.terminate()
    server.communicate(timeout=60)


def shell(line: str, folder: Path) -> str:
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


def test_chat_commands(home: Path) -> None:
    for line in blocks("serving.md", "bash")[0].splitlines():
        line = re.sub(r"(?<=\| )tilth |^tilth ", lambda _: f"{TILTH} ", line)
        shell(f"{line} --threads 1 --max-new-tokens 8", home)


def test_requests_by_curl(home: Path, port: int) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    for command in blocks("serving.md", "bash")[2].replace("\\\n", "").splitlines():
        answer = shell(command.replace("8000", str(port)), home)
        assert '"object"' in answer
        assert '"error"' not in answer


def test_python_snippets(home: Path, request: pytest.FixtureRequest) -> None:
    over_http, engine = blocks("serving.md", "python")
    programs = [engine]
    pytest.importorskip("openai")
    programs.append(over_http.replace("8000", str(request.getfixturevalue("port"))))
    for program in programs:
        done = subprocess.run([sys.executable, "-c", program], cwd=home, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
