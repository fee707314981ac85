"""The inputs on which post-training losses are compared with TRL's: weights by formula, tokens by hand."""

from __future__ import annotations

from pathlib import Path

import torch

from tilth.model import Decoder, DecoderConfig, build

RECORDED = Path(__file__).with_name("post_training.json")
CONFIG = DecoderConfig(
    vocabulary_size=40, hidden=16, layers=2, heads=4, kv_heads=2, head_dim=4, intermediate=24, tie_embeddings=False
)
PAIRS = [
    {"prompt": [1, 5, 9, 13], "chosen": [20, 21, 22, 2], "rejected": [20, 21, 23, 2]},
    {"prompt": [1, 7], "chosen": [30, 3, 30, 3, 30, 2], "rejected": [31, 2]},
    {"prompt": [1, 6, 6, 6, 6, 6, 8], "chosen": [2], "rejected": [12, 14, 16, 18, 2]},
]
"""Token ids; the losses of `chosen` and `rejected` are the conversation's trained tokens."""
EVEN = [{"prompt": p["prompt"], "chosen": [10 + i, 11, 2], "rejected": [15, 16 + i, 2]} for i, p in enumerate(PAIRS)]
"""Pairs whose answers are all of three tokens: TRL divides IPO's margins by length, the paper does not."""


def model(number: int) -> Decoder:
    """The policy (1) or its reference (2): sines in every parameter, independent of any random generator."""
    found = build(CONFIG, dtype=torch.float64)
    with torch.no_grad():
        for place, parameter in enumerate(found.parameters()):
            wave = torch.arange(parameter.numel(), dtype=torch.float64).view(parameter.shape)
            parameter.copy_(torch.sin(wave * (1.7 + 0.1 * number) + place + number) * 0.3 + (parameter.ndim == 1))
    return found
