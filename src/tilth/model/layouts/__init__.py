"""Folders of others: Hugging Face's `config.json` and safetensors, in and out. Light: torch comes with huggingface.

names         check_exportable: which tensor is which, and what each architecture's configuration means   (no torch)
huggingface   read_config, import_model, export_model
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tilth.model.layouts.names import check_exportable

if TYPE_CHECKING:
    from tilth.model.layouts.huggingface import export_model, import_model, read_config

__all__ = ["check_exportable", "export_model", "import_model", "read_config"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.huggingface"), name)
