"""Which sequences, and which documents in them, a step or a spike owes its loss to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from tilth.base.files import finite
from tilth.model import Decoder
from tilth.training.batch import Pick, Reader, make_batch

WORST = 3
"""Sequences that are remembered of a step, and named of a range of steps."""

Suspect = tuple[Pick, float]


def worst(picks: Sequence[Pick], losses: Sequence[float]) -> list[Suspect]:
    """The sequences of highest loss, those that are not finite first."""
    ranked = sorted(zip(picks, losses, strict=True), key=lambda entry: -_rank(entry[1]))
    return ranked[:WORST]


def _rank(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


class Recent:
    """Of the last steps: the step, the numbers drawn for it as first and stop, its worst sequences."""

    def __init__(self, steps: int) -> None:
        self._steps: deque[tuple[int, int, int, list[Suspect]]] = deque(maxlen=steps)

    def note(self, step: int, first: int, last: int, suspects: list[Suspect]) -> None:
        """Remember a step."""
        self._steps.append((step, first, last, suspects))

    def drawn(self, begin: int) -> tuple[int, int]:
        """The numbers drawn from step `begin` on, as [first, stop)."""
        chosen = [entry for entry in self._steps if entry[0] >= begin]
        return chosen[0][1], chosen[-1][2]

    def worst(self, begin: int) -> list[Suspect]:
        """The sequences of highest loss from step `begin` on."""
        found = [suspect for step, _, _, suspects in self._steps if step >= begin for suspect in suspects]
        return worst([pick for pick, _ in found], [loss for _, loss in found])

    def state_dict(self) -> list[Any]:
        """Plain values."""
        return [[s, a, b, [[*pick, finite(x)] for pick, x in w]] for s, a, b, w in self._steps]

    def load_state_dict(self, state: list[Any]) -> None:
        """Continue exactly."""
        self._steps.clear()
        for step, first, last, found in state:
            suspects = [((group, index), math.nan if loss is None else loss) for group, index, loss in found]
            self._steps.append((step, first, last, suspects))


def describe(suspects: Sequence[Suspect], reader: Reader, names: Sequence[str], model: Decoder) -> list[dict[str, Any]]:
    """Each suspect as a record: its sequence, its loss, and the document in it with the highest loss of its own."""
    return [
        {"sequence": [names[pick[0]], pick[1]], "loss": round(loss, 6) if math.isfinite(loss) else None}
        | _document(pick, reader, model)
        for pick, loss in suspects
    ]


@torch.no_grad()
def _document(pick: Pick, reader: Reader, model: Decoder) -> dict[str, Any]:
    """Of a sequence's documents the one with the highest next-token loss; its row in the store, and its id if known."""
    batch = make_batch([reader.read(*pick)]).to(next(model.parameters()).device)
    model.eval()
    with torch.compiler.set_stance("force_eager"):  # one look is not worth compiling for another shape
        logits_NV = model.logits(model(batch.tokens, batch.positions, batch.boundaries)).float()
    model.train()
    loss_N = F.cross_entropy(logits_NV, batch.targets, ignore_index=-1, reduction="none")
    counts, sums = batch.segment_counts.tolist(), batch.sum_segments(loss_N).tolist()
    means = [total / count if count else -math.inf for total, count in zip(sums, counts, strict=True)]
    segment = max(range(len(means)), key=lambda s: _rank(means[s]) if counts[s] else -math.inf)
    row = int(batch.documents[segment])
    name = getattr(reader, "document_id", None)
    found: dict[str, Any] = {"document": row, "document_loss": round(means[segment], 6)}
    if not math.isfinite(means[segment]):
        found["document_loss"] = None
    return found | ({"id": name(row)} if name is not None and row >= 0 else {})
