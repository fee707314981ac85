"""Low-rank adapters (LoRA, Hu et al. 2021). Light: torch comes with the other files.

settings    AdapterSettings: rank, alpha, targets                                              (no torch)
low_rank    LowRankLinear; attach, merge, unmerge, remove; merge_difference
peft        save_adapter, load_adapter: PEFT's folders
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tilth.model.adapters.settings import AdapterSettings

if TYPE_CHECKING:
    from tilth.model.adapters.low_rank import LowRankLinear, attach, merge, merge_difference, remove, unmerge
    from tilth.model.adapters.peft import load_adapter, save_adapter

_HOME = {
    "LowRankLinear": "low_rank",
    "attach": "low_rank",
    "load_adapter": "peft",
    "merge": "low_rank",
    "merge_difference": "low_rank",
    "remove": "low_rank",
    "save_adapter": "peft",
    "unmerge": "low_rank",
}

__all__ = [
    "AdapterSettings",
    "LowRankLinear",
    "attach",
    "load_adapter",
    "merge",
    "merge_difference",
    "remove",
    "save_adapter",
    "unmerge",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
