"""Low-rank adapters (LoRA, Hu et al. 2021). Light: torch comes with the other files.

settings    AdapterSettings: rank, alpha, targets                                              (no torch)
low_rank    LowRankLinear; attach, merge, unmerge, remove; merge_difference
peft        save_adapter, load_adapter: PEFT's folders
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.base.lazy import lazy
from tilth.model.adapters.settings import AdapterSettings

if TYPE_CHECKING:
    from tilth.model.adapters.low_rank import LowRankLinear, attach, merge, merge_difference, remove, unmerge
    from tilth.model.adapters.peft import load_adapter, save_adapter

__getattr__ = lazy(
    __name__,
    {
        "low_rank": "LowRankLinear attach merge merge_difference remove unmerge",
        "peft": "load_adapter save_adapter",
    },
)

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
