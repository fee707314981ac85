"""Activations that are computed again: the same bits, in less memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from tilth.model import Boundaries, Decoder, ModelSettings, attention, build, linear_cross_entropy
from tilth.model.adapters import AdapterSettings, attach
from tilth.model.draws import sequence_keys

SETTINGS = ModelSettings(hidden=64, layers=3, heads=4, kv_heads=2, output_projections="normal")
OFFSETS = torch.tensor([0, 5, 70, 128, 128], dtype=torch.int32)


def gradients(recompute: str, dtype: torch.dtype, *, compiled: bool = False, rank: int = 0) -> list[torch.Tensor]:
    """Loss and gradients of one step over three documents."""
    torch._dynamo.reset()
    model = build(SETTINGS.config(96), 3, dtype=torch.float64 if dtype == torch.float64 else torch.float32).train()
    model.compute_dtype, model.recompute = dtype, recompute  # type: ignore[assignment]
    if rank:
        attach(model, AdapterSettings(rank=rank, dropout=0.3), 1)
    if compiled:
        for block in model.blocks:
            block.compile(dynamic=False)
    model.sequence_keys = sequence_keys(5, "main", 0, [0], torch.device("cpu"))
    loss = step(model)
    return [loss, *(p.grad for p in model.parameters() if p.grad is not None)]


def step(model: Decoder) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(96, (129,), generator=generator)
    positions = torch.cat([torch.arange(int(n)) for n in OFFSETS.diff()])
    hidden = model(tokens[:-1], positions, Boundaries(OFFSETS, 1))
    loss, _ = linear_cross_entropy(hidden, model.head_weight, tokens[1:], 1 / 128)
    loss.backward()
    return loss.detach()


@pytest.mark.parametrize("recompute", ["selective", "full"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rank", [0, 4], ids=["weights", "adapter with dropout"])
def test_same_bits(recompute: str, dtype: torch.dtype, rank: int) -> None:
    kept = gradients("none", dtype, rank=rank)
    again = gradients(recompute, dtype, rank=rank)
    assert len(kept) == len(again) > 5
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))


@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_same_bits_compiled(recompute: str) -> None:
    kept, again = (gradients(mode, torch.bfloat16, compiled=True) for mode in ("none", recompute))
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))


def peak(recompute: str) -> int:
    """Most bytes of tensors alive at once in a step of a deep model."""
    model = build(SETTINGS.model_copy(update={"layers": 12}).config(96), 3).train()
    model.recompute = recompute  # type: ignore[assignment]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        step(model)
    events: list[Any] = trace.profiler.kineto_results.events()  # type: ignore[union-attr]
    live = most = 0
    for _, size in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        live += size
        most = max(most, live)
    gradients = sum(p.numel() * p.element_size() for p in model.parameters())
    return most - gradients


def test_memory_shrinks() -> None:
    none, selective, full = (peak(mode) for mode in ("none", "selective", "full"))
    assert selective < 0.75 * none
    assert full < 0.5 * selective


def test_attention_is_kept_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `selective` the layer runs again without a second attention; under `full` with one."""
    calls = []
    classes = attention._classes
    monkeypatch.setattr(attention, "_classes", lambda *given: calls.append(1) or classes(*given))
    counts = {}
    for mode in ("none", "selective", "full"):
        calls.clear()
        gradients(mode, torch.float32)
        counts[mode] = len(calls)
    assert counts["selective"] == counts["none"]
    assert counts["full"] == counts["none"] + SETTINGS.layers
