"""Hugging Face folders: `config.json` and safetensors, whole or sharded with an index."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import safe_open, save_file
from torch import Tensor

from tilth.base import files
from tilth.base.errors import UserError
from tilth.model.config import DecoderConfig
from tilth.model.decoder import Decoder, build
from tilth.model.layouts.names import our_config, their_config, their_name

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64}


def read_config(folder: Path) -> DecoderConfig:
    """The decoder that a Hugging Face folder holds."""
    path = folder / "config.json"
    try:
        theirs = files.read_json(path)
    except FileNotFoundError:
        raise UserError(
            "there is no config.json, so this is not a Hugging Face model folder", where=str(folder)
        ) from None
    except json.JSONDecodeError as error:
        raise UserError(f"not valid JSON: {error}", where=str(path)) from None
    return our_config(theirs, str(path))


def import_model(folder: Path, dtype: torch.dtype = torch.float32) -> Decoder:
    """Load a folder's weights as `dtype` parameters, one tensor at a time: besides the model, one tensor is in memory.

    UserError where a tensor is missing, has another shape, or stands there without being known.
    """
    model = build(read_config(folder), dtype=dtype)
    where = _locations(folder)
    parameters = {their_name(name): parameter for name, parameter in model.named_parameters()}
    tied = {"lm_head.weight"} if model.config.tie_embeddings else set()
    unknown = {name for name in where.keys() - parameters.keys() - tied if not name.endswith("rotary_emb.inv_freq")}
    if missing := parameters.keys() - where.keys():
        raise UserError(f"{len(missing)} tensors are missing, first {min(missing)}", where=str(folder))
    if unknown:
        raise UserError(f"{len(unknown)} tensors are not known, first {min(unknown)}", where=str(folder))
    for file in sorted(set(where.values())):
        with _opened(folder / file) as stored, torch.no_grad():
            for name in stored.keys():  # noqa: SIM118 - not a mapping
                if name in parameters:
                    _fill(parameters[name], stored.get_tensor(name), f"{folder / file}: {name}")
    return model


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """A file of tensors. UserError where it is damaged."""
    try:
        with safe_open(file, "pt") as stored:
            yield stored
    except SafetensorError as error:
        raise UserError(f"not readable: {error}", where=str(file), hint="it is damaged: copy it again") from None


def _fill(parameter: Tensor, value: Tensor, where: str) -> None:
    if parameter.shape != value.shape:
        raise UserError(f"shape is {list(value.shape)}, the configuration says {list(parameter.shape)}", where=where)
    parameter.copy_(value)


def _locations(folder: Path) -> dict[str, str]:
    """The file of every tensor."""
    if (folder / INDEX).exists():
        return dict(files.read_json(folder / INDEX)["weight_map"])
    if (folder / SINGLE).exists():
        with _opened(folder / SINGLE) as stored:
            return dict.fromkeys(stored.keys(), SINGLE)
    raise UserError(
        f"there is neither {SINGLE} nor {INDEX}", where=str(folder), hint="safetensors only: convert .bin files"
    )


def export_model(
    model: Decoder,
    folder: Path,
    *,
    dtype: str = "fp32",
    bos: int | None = None,
    eos: int | Sequence[int] | None = None,
    pad: int | None = None,
    shard_bytes: int = 5 * 10**9,
) -> None:
    """Write `config.json`, `generation_config.json` and the weights as `bf16`, `fp32` or `fp64`.

    The tokenizer's files are not written, nor a tied head. Above `shard_bytes` the weights are cut into files with an
    index. The same model gives the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch_dtype = DTYPES[dtype]
    config = their_config(model.config, str(torch_dtype).removeprefix("torch."))
    special = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad}
    _write_weights(model, folder, torch_dtype, shard_bytes)
    files.write_json(
        folder / "generation_config.json", {key: value for key, value in special.items() if value is not None}
    )
    files.write_json(folder / "config.json", config | special)


def _write_weights(model: Decoder, folder: Path, dtype: torch.dtype, shard_bytes: int) -> None:
    shards = list(_shards(model, dtype.itemsize, shard_bytes))
    tensors = dict(model.named_parameters())
    index: dict[str, Any] = {"metadata": {"total_size": 0}, "weight_map": {}}
    for number, names in enumerate(shards, 1):
        file = SINGLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        part = {their_name(name): tensors[name].detach().to("cpu", dtype).contiguous() for name in names}
        with files.atomic_file(folder / file) as aside:
            save_file(part, aside, metadata={"format": "pt"})
        index["metadata"]["total_size"] += sum(tensor.nbytes for tensor in part.values())
        index["weight_map"] |= dict.fromkeys(part, file)
    if len(shards) > 1:
        files.write_json(folder / INDEX, index)


def _shards(model: Decoder, item_bytes: int, shard_bytes: int) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, parameter in model.named_parameters():
        if names and size + parameter.numel() * item_bytes > shard_bytes:
            yield names
            names, size = [], 0
        names.append(name)
        size += parameter.numel() * item_bytes
    yield names
