"""Folders of others: Hugging Face's `config.json` and safetensors, in and out. Light: torch comes with huggingface.

names         check_exportable: which tensor is which, and what each architecture's configuration means   (no torch)
huggingface   read_config, import_model, export_model
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.base.lazy import lazy
from tilth.model.layouts.names import check_exportable

if TYPE_CHECKING:
    from tilth.model.layouts.huggingface import export_model, import_model, read_config

__getattr__ = lazy(__name__, {"huggingface": "export_model import_model read_config"})

__all__ = ["check_exportable", "export_model", "import_model", "read_config"]
