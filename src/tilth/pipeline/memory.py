"""What of a phase and of the machine shapes the memory of its training, and what that decides before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from tilth.base import machine
from tilth.base.files import read_json
from tilth.laws.model_size import Shape
from tilth.model.adapters.settings import AdapterSettings
from tilth.model.config import DecoderConfig
from tilth.planning.recompute import Choice, least_recompute
from tilth.planning.trainer_memory import Training
from tilth.training.job import Job
from tilth.training.settings import ComputeSettings, PhaseSettings


def training_of(phase: PhaseSettings, compute: ComputeSettings, adapter: AdapterSettings | None) -> Training:
    """Whole sequences are one document here: an upper bound. Where recomputation is left to be decided: none."""
    length, device = phase.sequence_length, _device(compute)
    return Training(
        tokens=min(phase.micro_batch_sequences, -(-phase.sequences // compute.processes)) * length,
        length=length,
        half=phase.in_half(device.fast_bf16),
        float8=phase.precision == "fp8",
        optimizer=phase.optimizer.kind,
        compiled=phase.compiled(device.compiler_found),
        rank=adapter.rank if adapter else 0,
        targets=adapter.targets if adapter else (),
        embedding_dropout=phase.dropout.embedding > 0,
        residual_dropout=phase.dropout.residual > 0,
        adapter_dropout=adapter is not None and adapter.dropout > 0,
        cuda=device.kind == "cuda",
        recompute="none" if compute.recompute == "auto" else compute.recompute,
        processes=compute.processes,
        shard=compute.shard,
    )


class _Device(NamedTuple):
    """What is asked of the device that a phase will be trained on."""

    kind: str
    fast_bf16: Callable[[], bool]
    compiler_found: Callable[[], bool]


def _device(compute: ComputeSettings) -> _Device:
    """The device, not taken into use; without torch, at a look at a plan, this processor."""
    try:
        import torch

        from tilth.training import device
    except ImportError:
        return _Device("cpu", machine.fast_bf16, lambda: machine.cpp_compiler() is not None)
    kind = device.kind(compute.device)
    here = torch.device(kind)
    return _Device(kind, lambda: device.fast_bf16(here), lambda: device.compiler_found(here))


def in_half(phase: PhaseSettings, compute: ComputeSettings) -> bool:
    """Whether the phase multiplies in half precision on the device that it will be trained on."""
    return phase.in_half(_device(compute).fast_bf16)


def budget(compute: ComputeSettings) -> float:
    """Bytes that one training process may take: as set, or its device's, or its part of this machine's memory."""
    if compute.memory is not None:
        return compute.memory
    if _device(compute).kind == "cuda":
        from tilth.training.device import gpu_bytes

        return gpu_bytes()
    return machine.memory_bytes() / compute.processes


def choose_recompute(
    shape: Shape, phase: PhaseSettings, compute: ComputeSettings, adapter: AdapterSettings | None
) -> Choice:
    """What is computed again where `compute.recompute` is auto."""
    return least_recompute(shape, training_of(phase, compute, adapter), budget(compute))


def decided(job: Job) -> Job:
    """The job with what is decided before it starts."""
    if job.compute.recompute != "auto":
        return job
    chosen = choose_recompute(_shape(job), job.phase, job.compute, job.adapter)
    compute = job.compute.model_copy(update={"recompute": chosen.recompute})
    return replace(job, compute=compute, recompute_because=chosen.reason)


def _shape(job: Job) -> Shape:
    if isinstance(job.start, DecoderConfig):
        return job.start.shape
    kept = job.start / "decoder.json"
    if kept.exists():
        return DecoderConfig.model_validate(read_json(kept)).shape
    from tilth.model import read_config

    return read_config(job.start).shape
