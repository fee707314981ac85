from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.serving.helpers import run_folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the models base, dpo and sft; only read."""
    return run_folder(tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """One thread, as the servers beside the tests have; later tests have theirs again."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
