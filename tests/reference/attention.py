"""The obvious attention: one query, one head, one document at a time."""

from __future__ import annotations

import torch
from torch import Tensor


def attention(q_NAD: Tensor, k_NGD: Tensor, v_NGD: Tensor, lengths: list[int]) -> Tensor:
    """Causal attention inside documents of `lengths`, by loops."""
    out = torch.zeros_like(q_NAD)
    queries_per_key = q_NAD.shape[1] // k_NGD.shape[1]
    start = 0
    for length in lengths:
        for head in range(q_NAD.shape[1]):
            keys, values = (x[start : start + length, head // queries_per_key] for x in (k_NGD, v_NGD))
            for place in range(length):
                scores = keys[: place + 1] @ q_NAD[start + place, head] / q_NAD.shape[2] ** 0.5
                out[start + place, head] = torch.softmax(scores, 0) @ values[: place + 1]
        start += length
    return out
