"""Checkpoints that are whole or not there.

A checkpoint `step-00001000/` holds `tensors/` (what is trained and its optimizer state by
torch.distributed.checkpoint: sharded over the ranks, loads in any layout), `state.json` and, written last,
`manifest.json`: size and hash of every file. It is made aside and renamed; one that is torn or changed is never used.
"""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException

from tilth.base import files
from tilth.training.optimizers import Optimizers
from tilth.training.parallel import Group

Tensors = dict[str, dict[str, Tensor]]


def tensors_of(model: nn.Module, optimizers: Optimizers) -> Tensors:
    """What is trained and the state of its optimizer, as far as this process keeps them, by name, not copied."""
    holds = optimizers.partition.holds
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad and holds(p)}
    parts = {"model": trained, "optimizer": optimizers.state()}
    return {part: named for part, named in parts.items() if named}


def snapshot(tensors: Tensors) -> Tensors:
    """A copy on the host, in pinned memory where it comes from a GPU, that training no longer touches."""
    copies = {part: {name: _copy(tensor) for name, tensor in named.items()} for part, named in tensors.items()}
    if any(tensor.is_cuda for named in tensors.values() for tensor in named.values()):
        torch.cuda.synchronize()
    return copies


def _copy(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda).copy_(tensor, non_blocking=True)


def size_of(tensors: Tensors) -> int:
    """Bytes of all tensors."""
    return sum(tensor.numel() * tensor.element_size() for named in tensors.values() for tensor in named.values())


def write_checkpoint(folder: Path, step: int, tensors: Tensors, state: dict[str, Any], group: Group) -> Path:
    """Write `folder/step-N`: every rank its shard and its shard's hashes, the first one the manifest, last.

    An error of any rank is raised on all of them, and nothing is left of the attempt.
    """
    final, aside = folder / f"step-{step:08d}", folder / f".step-{step:08d}.tmp"

    def begin() -> None:
        if group.first:
            files.remove(aside)
            files.remove(final)
            aside.mkdir(parents=True)

    def shard() -> None:
        with _plain_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one process needs no process group
            dcp.save(tensors, checkpoint_id=aside / "tensors", process_group=group.handle, no_dist=group.size == 1)

    def describe() -> dict[str, Any]:
        mine = [name for name in files.list_files(aside) if Path(name).name.startswith(f"__{group.rank}_")]
        if group.first:
            files.write_json(aside / "state.json", state)
            mine += ["state.json", "tensors/.metadata"]
        return {
            name: {"bytes": (aside / name).stat().st_size, "sha256": files.digest_file(aside / name)} for name in mine
        }

    def publish() -> None:
        if group.first:
            known = {name: facts for part in described for name, facts in sorted(part.items())}
            manifest = {"step": step, "conditions": state["conditions"], "files": known}
            files.write_json(aside / "manifest.json", manifest)
            files.publish_folder(aside, final)

    try:
        group.together(begin)
        group.together(shard)
        described = group.together(describe)
        group.together(publish)
    except BaseException:
        if group.first:
            with contextlib.suppress(OSError):
                files.remove(aside)
        raise
    return final


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """The first error behind torch's collection of them, which is no Exception."""
    try:
        yield
    except CheckpointException as error:
        raise next(iter(error.failures.values()))[0] from error


def retire(folder: Path, keep: int, every: int | None, back: int) -> None:
    """Remove the checkpoints that no rule keeps.

    Kept are the newest `keep`, those of every `every` steps, and the newest one that lies `back` steps behind the
    newest of all, to which a sustained spike can go back.
    """
    steps = [step_of(path) for path in sorted(folder.glob("step-*"))]
    kept = set(steps[-keep:]) | {step for step in steps if every and step % every == 0}
    kept |= set([step for step in steps if step <= steps[-1] - back][-1:])
    for step in steps:
        if step not in kept:
            shutil.rmtree(folder / f"step-{step:08d}")


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint was taken behind."""
    return int(checkpoint.name.removeprefix("step-"))


def find_checkpoint(folder: Path, report: Callable[[str], None], until: int | None = None) -> Path | None:
    """The newest whole checkpoint (`until` that step); a torn or changed one is reported and passed over."""
    for left in folder.glob(".step-*.tmp"):
        report(f"{left.name} was not finished when the run stopped; it is ignored")
    for candidate in sorted(folder.glob("step-*"), reverse=True):
        if until is not None and step_of(candidate) > until:
            continue
        fault = find_fault(candidate)
        if fault is None:
            return candidate
        report(f"{candidate.name} is not whole ({fault}); the one before it is used")
    return None


def find_fault(checkpoint: Path) -> str | None:
    """Why a checkpoint cannot be used, or None."""
    try:
        manifest = files.read_json(checkpoint / "manifest.json")
        expected = {name: (facts["bytes"], facts["sha256"]) for name, facts in manifest["files"].items()}
    except FileNotFoundError:
        return "no manifest"
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # any byte of it may have changed
        return "its manifest cannot be read"
    for name, (size, digest) in expected.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size or files.digest_file(path) != digest:
            return f"{name} has changed"
    return None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The saved state beside the tensors."""
    return dict(files.read_json(checkpoint / "state.json"))


def load_checkpoint(checkpoint: Path, model: nn.Module, optimizers: Optimizers) -> None:
    """Fill what is trained, and the optimizers, in place."""
    with _plain_errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.load(tensors_of(model, optimizers), checkpoint_id=checkpoint / "tensors")
