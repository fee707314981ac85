from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving.helpers import run_folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the models base, dpo and sft; only read."""
    return run_folder(tmp_path_factory.mktemp("runs"))
