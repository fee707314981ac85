"""The compiler's cache on the disk: a file in it that a killed process left torn is passed over, once it is met."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

CACHE = "TORCHINDUCTOR_CACHE_DIR"


def torn_file(error: BaseException) -> Path | None:
    """The file in the cache of compiled code whose loading is behind `error`; None where that is something else."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    named = re.compile(re.escape(cache_dir()) + r"[\w/.-]*\w")
    for cause in _chain(error):
        loading = isinstance(cause, ImportError) or (isinstance(cause, OSError) and cause.errno is None)
        if loading and (found := named.search(str(cause))):  # a full disk has a number and is no torn file
            return Path(found[0])
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def begin_anew(torn: Path) -> Path:
    """Remove the torn file, for those who come later, and compile into a new folder in this process: others may be torn
    as well, or be held in memory by their names."""
    import torch
    from torch._inductor.runtime.cache_dir_utils import cache_dir
    from torch._inductor.utils import clear_caches

    torn.unlink(missing_ok=True)
    fresh = tempfile.mkdtemp(prefix="again-", dir=cache_dir())
    os.environ[CACHE] = fresh
    torch.compiler.reset()
    clear_caches()
    return Path(fresh)
