"""Groups: named sets of documents, each a condition over the document table. Mixtures name groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from tilth.base.errors import UserError, nearest
from tilth.base.expression import Condition


def resolve_groups(
    names: Iterable[str], conditions: Mapping[str, str], columns: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The documents (int64, ascending) of each named group.

    A name is one of `conditions`, else a domain. A group without a document is an error that lists what there is.
    """
    domains = set(columns["domain"].tolist())
    groups: dict[str, np.ndarray] = {}
    for name in names:
        if name not in conditions and name not in domains:
            known = [*conditions, *sorted(domains)]
            raise UserError(
                f"the mixture names {name!r}, which is neither a group nor a domain", hint=nearest(name, known)
            )
        chosen = Condition(conditions[name])(columns) if name in conditions else columns["domain"] == name
        groups[name] = np.flatnonzero(chosen)
        if not len(groups[name]):
            raise UserError(
                f"group {name!r} ({conditions[name]}) holds no document", hint=f"domains: {sorted(domains)}"
            )
    return groups
