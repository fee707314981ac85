"""Adapters as PEFT writes them: `adapter_config.json` and `adapter_model.safetensors`. The same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tilth.base import files
from tilth.base.errors import UserError, nearest
from tilth.base.settings import validate
from tilth.model.adapters.low_rank import adapted, attach
from tilth.model.adapters.settings import TARGETS, AdapterSettings
from tilth.model.decoder import Decoder
from tilth.model.layouts.names import their_name

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."

_THEIRS = {
    target: their_name(f"blocks.0.{'attention' if target in TARGETS[:4] else 'feed_forward'}.{target}.weight").split(
        "."
    )[-2]
    for target in TARGETS
}
"""`query` -> `q_proj`, and so on."""


def save_adapter(model: Decoder, settings: AdapterSettings, folder: Path, base: str | None = None) -> None:
    """Write the adapter that is attached to `model`; `base` is the name or path of the model without it."""
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in _tensors(model, settings).items()}
    with files.atomic_file(folder / WEIGHTS) as aside:
        save_file(tensors, aside, metadata={"format": "pt"})
    files.write_json(
        folder / CONFIG,
        {
            "base_model_name_or_path": base,
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "lora_alpha": int(settings.alpha) if settings.alpha.is_integer() else settings.alpha,
            "lora_dropout": settings.dropout,
            "modules_to_save": ["embed_tokens", "lm_head"] if settings.embeddings else None,
            "peft_type": "LORA",
            "r": settings.rank,
            "target_modules": [_THEIRS[target] for target in settings.targets],
            "task_type": "CAUSAL_LM",
            "use_rslora": settings.rslora,
        },
    )


def load_adapter(model: Decoder, folder: Path) -> AdapterSettings:
    """Attach a folder's adapter to its base model; UserError where it is no LoRA, or one for another model."""
    settings = _read_settings(folder)
    attach(model, settings, seed=0)
    stored, wanted = load_file(folder / WEIGHTS), _tensors(model, settings)
    if odd := sorted(stored.keys() ^ wanted.keys()):
        raise UserError(f"the adapter has other tensors than this model, first {odd[0]}", where=str(folder / WEIGHTS))
    with torch.no_grad():
        for name, parameter in wanted.items():
            if parameter.shape != stored[name].shape:
                found, expected = list(stored[name].shape), list(parameter.shape)
                raise UserError(f"shape is {found}, expected {expected}", where=f"{folder / WEIGHTS}: {name}")
            parameter.copy_(stored[name])
    return settings


def _tensors(model: Decoder, settings: AdapterSettings) -> dict[str, Tensor]:
    """What is trained, by PEFT's names, not copied; a tied matrix stands twice, else PEFT would not fill the head."""
    found: dict[str, Tensor] = {}
    for name, module in adapted(model):
        path = PREFIX + their_name(f"{name}.weight").removesuffix(".weight")
        found[f"{path}.lora_A.weight"], found[f"{path}.lora_B.weight"] = module.lora_A, module.lora_B
    if settings.embeddings:
        found[PREFIX + their_name("embedding.weight")] = model.embedding.weight
        found[PREFIX + their_name("head.weight")] = model.head_weight
    return found


def _read_settings(folder: Path) -> AdapterSettings:
    path = folder / CONFIG
    try:
        theirs = dict(files.read_json(path))
    except FileNotFoundError:
        raise UserError(f"there is no {CONFIG}, so this is no adapter", where=str(folder)) from None
    except (json.JSONDecodeError, ValueError) as error:
        raise UserError(f"not valid JSON: {error}", where=str(path)) from None
    _refuse_unsupported(theirs, str(path))
    ours = {theirs_: target for target, theirs_ in _THEIRS.items()}
    names = theirs.get("target_modules")
    if not isinstance(names, list):
        raise UserError(f"target_modules is {names!r}, expected a list of projections", where=str(path))
    for name in names:
        if name not in ours:
            raise UserError(f"target_modules: {name!r} is not known", where=str(path), hint=nearest(str(name), ours))
    settings = {
        "rank": theirs.get("r"),
        "alpha": theirs.get("lora_alpha"),
        "dropout": theirs.get("lora_dropout", 0.0),
        "targets": [ours[name] for name in names],
        "rslora": theirs.get("use_rslora", False),
        "embeddings": bool(theirs.get("modules_to_save")),
    }
    return validate(AdapterSettings, settings, source=str(path))


def _refuse_unsupported(theirs: dict[str, Any], where: str) -> None:
    modules = theirs.get("modules_to_save") or ["embed_tokens", "lm_head"]
    reasons = {
        f"peft_type is {theirs.get('peft_type')!r}, not LORA": theirs.get("peft_type") != "LORA",
        f"bias is {theirs.get('bias')!r}, not none": theirs.get("bias", "none") != "none",
        f"modules_to_save is {modules}, not embed_tokens and lm_head": sorted(modules) != ["embed_tokens", "lm_head"],
        "use_dora is set": bool(theirs.get("use_dora")),
        "ranks differ from layer to layer (rank_pattern)": bool(theirs.get("rank_pattern")),
        "scales differ from layer to layer (alpha_pattern)": bool(theirs.get("alpha_pattern")),
        "only some layers are adapted (layers_to_transform)": theirs.get("layers_to_transform") is not None,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"this adapter cannot be computed here: {reason}", where=where)
