"""The planning page's commands are run; every line that it shows stands in what they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tilth.cli.main import main

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def plain(text: str) -> str:
    return re.sub(r" +", " ", text)


def test_the_page_is_true(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for commands, shown in zip(blocks("planning.md", "bash"), blocks("planning.md", "text"), strict=True):
        for command in commands.splitlines():
            with pytest.raises(SystemExit) as end:
                main(command.split()[1:])
            assert end.value.code == (2 if "405B" in command else 0), command  # which does not fit on eight devices
        printed = plain(capsys.readouterr().out)
        for line in shown.splitlines():
            assert plain(line) in printed, line
    for name in ("scale", "cost", "buy"):
        assert (tmp_path / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg xmlns")


def test_both_languages_show_the_same() -> None:
    for language in ("bash", "text"):
        assert blocks("planning.md", language) == blocks("planning.zh.md", language)
        assert blocks("planning.md", language)
