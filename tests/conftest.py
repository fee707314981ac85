"""Where tests find real data: the folder in TILTH_DATA, else ../shared/data; without it such tests skip."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-golden", action="store_true", help="write tests/golden/ anew instead of comparing")


def real_data_folder() -> Path:
    return Path(os.environ.get("TILTH_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def run_tilth(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`tilth ARGUMENTS…` in this process: exit status, what it printed, what it complained of."""
    from tilth.cli.main import main

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        return (int(end.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, or a skip that says how to give one."""
    folder = real_data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set TILTH_DATA to a folder that holds it")
    return folder


def read_zst(path: Path, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Records of a .jsonl.zst file, the first `limit`."""
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8")):
            if limit is not None and number >= limit:
                return
            yield json.loads(line)
