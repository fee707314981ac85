"""A finished phase's folder, which others start from, and the model that a phase starts with.

It holds `model.safetensors`, `optimizer.safetensors`, `decoder.json` and `state.json`, the same bytes in every
repetition; behind a phase that trained an adapter also `adapter/`, which is merged into `model.safetensors`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import safe_open

from tilth.base import files
from tilth.base.errors import UserError
from tilth.model import Decoder, DecoderConfig, build, import_model
from tilth.model.adapters import AdapterSettings, merge_difference, remove, save_adapter
from tilth.training.batch import Batch
from tilth.training.folder import ADAPTER, FINAL_FILES
from tilth.training.optimizers import Optimizers
from tilth.training.partition import Partition, Whole

_DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
"""As safetensors names them."""


def start_model(start: DecoderConfig | Path, seed: int, dtype: torch.dtype, *, filled: bool) -> Decoder:
    """The model that a phase starts from, on the CPU; its shape alone where a checkpoint will fill it."""
    if isinstance(start, DecoderConfig):
        return build(start, None if filled else seed, dtype=dtype)
    if filled and is_finished(start):
        return build(DecoderConfig.model_validate(files.read_json(start / "decoder.json")), dtype=dtype)
    return load_model(start, dtype)


def digest_start(folder: Path, *, fresh: bool) -> str:
    """16 hex digits that name what a phase takes over from `folder`: the model, and of a finished phase all the rest.

    An artifact says the hashes of its files, which are taken while those are older than it.
    """
    if not (folder / "decoder.json").exists():
        names = ["config.json", *sorted(path.name for path in folder.glob("*.safetensors*"))]
    elif is_finished(folder) and not fresh:
        names = [*FINAL_FILES]
    else:
        names = ["decoder.json", "model.safetensors"]
    found = [name for name in names if (folder / name).exists()]
    said = _said_hashes(folder)
    return files.fingerprint([[name, said.get(name) or files.digest_file(folder / name)] for name in found])


def _said_hashes(folder: Path) -> dict[str, str]:
    """What the folder's `artifact.json` says of the files that have not been written since."""
    try:
        written = (folder / "artifact.json").stat().st_mtime_ns
        said = files.read_json(folder / "artifact.json")["files"]
    except (OSError, ValueError, KeyError):
        return {}
    paths = {name: folder / name for name in said}
    return {name: said[name] for name, path in paths.items() if path.exists() and path.stat().st_mtime_ns <= written}


def save_and_merge(folder: Path, model: Decoder, settings: AdapterSettings, batch: Batch) -> dict[str, Any]:
    """Keep the adapter in a folder of its own and merge it into the model; says what that changed on `batch`."""
    save_adapter(model, settings, folder / ADAPTER)
    with torch.compiler.set_stance("force_eager"):  # one look is not worth compiling for another dtype
        difference = merge_difference(model, batch.tokens, batch.positions, batch.boundaries)
    remove(model)
    return {"adapter": settings.canonical(), "largest_logit_difference": difference}


def save_final(folder: Path, model: Decoder, optimizers: Optimizers, state: dict[str, Any]) -> None:
    """Have the first process write the finished phase's deterministic files; all must take part.

    `state.json` comes last: its presence says that the phase is whole.
    """
    shared = optimizers.partition
    weights: Whole = {name: (p.detach(), p.detach(), p) for name, p in model.named_parameters()}
    scattered = model.around is not None  # stage 3: else every process has every weight
    save_whole(folder / "model.safetensors", weights, shared if scattered else Partition.of_nothing(shared.world))
    save_whole(folder / "optimizer.safetensors", optimizers.whole_state(), shared)
    if shared.world.first:
        files.write_json(folder / "decoder.json", model.config.canonical())
        files.write_json(folder / "state.json", state)


def save_whole(path: Path, tensors: Whole, partition: Partition) -> None:
    """Write all processes' tensors, one at a time on the host of the first: the bytes that `save_file` would write."""
    names = sorted(tensors, key=lambda name: (-tensors[name][1].element_size(), name))
    if not partition.world.first:
        for name in names:
            partition.gathered(*tensors[name])
        return
    known, end = dict[str, Any](), 0
    for name in names:
        _, like, _ = tensors[name]
        begin, end = end, end + like.numel() * like.element_size()
        known[name] = {"dtype": _DTYPES[like.dtype], "shape": list(like.shape), "data_offsets": [begin, end]}
    header = json.dumps(known, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    with files.atomic_file(path) as aside, aside.open("wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        for name in names:
            tensor = partition.gathered(*tensors[name])
            assert tensor is not None
            out.write(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)


def is_finished(folder: Path) -> bool:
    """Whether `folder` holds a finished phase."""
    return all((folder / name).exists() for name in FINAL_FILES)


def load_model(folder: Path, dtype: torch.dtype = torch.float32) -> Decoder:
    """The model of a finished phase, or of a Hugging Face folder, on the CPU."""
    if not (folder / "decoder.json").exists():
        return import_model(folder, dtype)
    config = DecoderConfig.model_validate(files.read_json(folder / "decoder.json"))
    model = build(config, dtype=dtype)
    with safe_open(folder / "model.safetensors", "pt") as stored, torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(stored.get_tensor(name))
    return model


def load_for_inference(folder: Path, on: torch.device, products: torch.dtype) -> Decoder:
    """The same on a device, in evaluation mode, its products in the dtype `products`."""
    model = load_model(folder).to(on).eval()
    model.compute_dtype = products
    return model


def load_optimizer(folder: Path, optimizers: Optimizers) -> None:
    """Continue with the optimizer state of a finished phase."""
    with safe_open(folder / "optimizer.safetensors", "pt") as stored:
        if set(stored.keys()) != optimizers.keys:
            raise UserError("the finished phase's optimizer state is of another optimizer or model", where=str(folder))
        for name, tensor in optimizers.state().items():
            tensor.copy_(stored.get_tensor(name))
