"""Floor 1: kernels over Arrow string buffers, Chinese and English alike. No torch.

statistics       what the rule sets ask for: words, lines, repetition, characters
signatures       MinHash signatures over n-grams of units
content_hashes   128-bit hashes of whole texts
Ngrams, Hits     the n-grams of benchmark items and where documents hold them
control_flags    which texts need the slow repair path
script_shares    in which scripts a text is written

The statistics: measure (all in one call), words, units, lines, repetition, c4, code. What text is made of:
characters and unicode (tables), scripts, urls and exceptions (where words do not end), flags. Under them: buffers
(Arrow's memory), hashing, jit (numba in one place); minhash and ngrams stand on them.

Each takes a `pa.LargeStringArray` without nulls and gives numpy arrays of its length. numba and the kernels are
loaded at the first use of a name, not by `import tilth.text`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.text.flags import control_flags
    from tilth.text.hashing import content_hashes
    from tilth.text.measure import statistics
    from tilth.text.minhash import signatures
    from tilth.text.ngrams import Hits, Ngrams
    from tilth.text.scripts import script_shares

_HOMES = {
    "Hits": "ngrams",
    "Ngrams": "ngrams",
    "content_hashes": "hashing",
    "control_flags": "flags",
    "script_shares": "scripts",
    "signatures": "minhash",
    "statistics": "measure",
}

__all__ = ["Hits", "Ngrams", "content_hashes", "control_flags", "script_shares", "signatures", "statistics"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
