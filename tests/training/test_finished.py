"""What a finished phase writes tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from tilth.training.finished import save_whole
from tilth.training.parallel import World
from tilth.training.partition import Partition


def test_tensors_written_one_by_one_are_the_bytes_of_safetensors(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    tensors = {
        "词.weight": torch.randn(3, 5, dtype=torch.bfloat16),
        "b.moment": torch.randn(7, dtype=torch.float64),
        "a.weight": torch.randn(4, 4).T,
        "a.bias": torch.randn(4),
        "step": torch.tensor(3.0),
        "none": torch.empty(0, 2),
    }
    save_whole(tmp_path / "ours", {n: (x, x, parameter) for n, x in tensors.items()}, Partition([parameter], World()))
    save_file({name: x.contiguous() for name, x in tensors.items()}, tmp_path / "theirs")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
