"""A model of a published size on a small machine: import, train, kill, resume, export. Takes minutes and 20 GiB."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch

from tests.training.fakes import FakeReader
from tests.training.phases import digest
from tilth.base import machine
from tilth.laws.flops import Recompute
from tilth.model import Boundaries, export_model
from tilth.training import ComputeSettings, Job, PhaseSettings, load_model, train_phase

transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).parents[2]
LIMIT = 20 * 2**30
VOCABULARY = 151_936


SHORT, LONG = (5, 512, "none"), (20, 1024, "full")
"""Steps, length of each of a step's two sequences, and what of each layer is computed again."""


def main(start: Path, folder: Path, steps: int, length: int, recompute: Recompute) -> None:
    """Train; prints the peak memory in bytes."""
    phase = PhaseSettings.model_validate(
        {
            "tokens": steps * 2 * length,
            "sequence_length": length,
            "batch_sequences": 2,
            "micro_batch": 1,
            "precision": "bf16",
            "compile": "off",
            "optimizer": {"kind": "adamw", "learning_rate": 1e-4},
        }
    )
    every = 2 if steps < 10 else 8
    compute = ComputeSettings(device="cpu", threads=2, checkpoint_steps=every, checkpoint_keep=1, recompute=recompute)
    reader = FakeReader(length, (30,), VOCABULARY, 100)
    train_phase(Job(phase=phase, reader=reader, folder=folder, start=start, seed=1, compute=compute))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def run(start: Path, folder: Path, shape: tuple[int, int, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.training.test_published_size", str(start), str(folder), *map(str, shape)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def write_qwen(folder: Path) -> None:
    """A randomly initialised Qwen3-0.6B in bf16, by transformers."""
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=1024,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        intermediate_size=3072,
        max_position_embeddings=40_960,
        rope_theta=1e6,
        tie_word_embeddings=True,
        dtype=torch.bfloat16,
    )
    model = transformers.Qwen3ForCausalLM(config).to(torch.bfloat16)
    assert model.num_parameters() == 596_049_920
    model.save_pretrained(folder)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """A folder whose gigabytes do not stay behind."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [SHORT, LONG], ids=["5_steps_of_1024", "20_steps_of_2048_recomputed"])
def test_qwen3_600m(room: Path, shape: tuple[int, int, str]) -> None:
    if machine.memory_bytes() < LIMIT:
        pytest.skip("needs 20 GiB of memory")
    write_qwen(room / "qwen")

    whole = run(room / "qwen", room / "whole", shape)
    output, _ = whole.communicate()
    assert whole.returncode == 0
    assert int(output) <= LIMIT
    expected = digest(room / "whole")
    for file in (room / "whole").glob("*.safetensors"):
        file.unlink()

    killed = run(room / "qwen", room / "killed", shape)
    while killed.poll() is None and not list((room / "killed" / "checkpoints").glob("step-*")):
        time.sleep(0.2)
    time.sleep(3)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    resumed = run(room / "qwen", room / "killed", shape)
    output, _ = resumed.communicate()
    assert resumed.returncode == 0
    assert int(output) <= LIMIT
    assert digest(room / "killed") == expected

    model = load_model(room / "killed")
    export_model(model, room / "out", dtype="fp32")
    reference = transformers.AutoModelForCausalLM.from_pretrained(room / "out", dtype=torch.float32)
    tokens = torch.arange(48) * 1000
    with torch.no_grad():
        hidden = model(tokens, torch.arange(48), Boundaries(torch.tensor([0, 48], dtype=torch.int32), 1))
        logits, theirs = model.logits(hidden), reference(tokens[None]).logits[0]
    assert (logits - theirs).abs().max() <= 1e-4 * theirs.abs().max()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), cast(Recompute, sys.argv[5]))
