"""What training on preferences did to every pair: both answers' log-probabilities against those of the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def preference_table(before: np.ndarray, after: np.ndarray, domains: Sequence[str]) -> list[dict[str, Any]]:
    """A row for all pairs and one for each domain.

    `before`, `after`: float64[documents], nats an answer under the reference and under the trained model; documents 2i
    and 2i + 1 are the chosen and the rejected answer of pair i. `domains`: of every document. `accuracy` is the share
    of pairs whose margin against the reference is positive, `chosen_fell` of those whose chosen answer is less likely
    than before; the changes are means in nats an answer.

    Raises ValueError where a log-probability is not finite.
    """
    if not np.isfinite(before).all() or not np.isfinite(after).all():
        raise ValueError("a log-probability is not finite: the model has diverged; lower the learning rate")
    change_P2 = (after - before).reshape(-1, 2)
    domain_P = np.asarray(domains)[::2]
    members_of = [("all", np.ones(len(change_P2), bool)), *((name, domain_P == name) for name in np.unique(domain_P))]
    return [{"domain": str(name), **_row(change_P2[members])} for name, members in members_of if members.any()]


def _row(change_P2: np.ndarray) -> dict[str, Any]:
    chosen_P, rejected_P = change_P2.T
    return {
        "pairs": len(change_P2),
        "accuracy": float((chosen_P > rejected_P).mean()),
        "chosen_fell": float((chosen_P < 0).mean()),
        "chosen_change": float(chosen_P.mean()),
        "rejected_change": float(rejected_P.mean()),
    }
