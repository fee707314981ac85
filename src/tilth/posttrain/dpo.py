"""Direct preference optimisation (Rafailov et al. 2023), with the chosen answers' negative log-likelihood beside it.

Plain DPO only widens the margin between the chosen and the rejected answer, and on pairs that differ little it does so
by making both less likely. The likelihood of the chosen answer, as in Pang et al. 2024 ("Iterative Reasoning Preference
Optimization", equation 1), keeps it up.

Shapes: N packed tokens, S segments, P pairs; column 0 is the chosen, column 1 the rejected answer.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tilth.base import files
from tilth.base.progress import Progress
from tilth.model import Decoder
from tilth.model.loss import token_log_probabilities
from tilth.tokens.pack import build_pack
from tilth.tokens.reader import SequenceReader
from tilth.tokens.store import TokenStore
from tilth.training.batch import Batch, make_batch
from tilth.training.objective import Losses, Objective

LossType = Literal["sigmoid", "ipo"]

SAVE_SECONDS = 30.0
"""Between two saves of what is known of the reference."""


def open_dpo(reference: str, **settings: Any) -> DPO:
    """The objective of a job: `reference` is a .npy file of float64[documents], `settings` are those of `DPO`."""
    return DPO(np.load(reference), **settings)


def preference_loss(
    change_P2: Tensor,
    beta: float,
    *,
    loss_type: LossType = "sigmoid",
    label_smoothing: float = 0.0,
    positive: float = 0.0,
) -> Tensor:
    """Each pair's loss from the changes log π(y|x) − log π_ref(y|x) of its two answers, summed over tokens.

    sigmoid: −log σ(β · margin) (Rafailov et al. 2023, equation 7), where a share `label_smoothing` of the pairs is
    thought to be the wrong way round (Mitchell 2023, conservative DPO). ipo: (margin − 1 / (2β))² (Azar et al. 2023,
    equation 17), not divided by length. `positive` takes that many times the fall of the chosen answer off the margin
    (Pal et al. 2024, DPO-Positive, equation 3).
    """
    margin_P = change_P2[:, 0] - change_P2[:, 1] - positive * F.relu(-change_P2[:, 0])
    if loss_type == "ipo":
        return (margin_P - 1 / (2 * beta)).square()
    right_P, wrong_P = F.logsigmoid(beta * margin_P), F.logsigmoid(-beta * margin_P)
    return -(1 - label_smoothing) * right_P - label_smoothing * wrong_P


class DPO(Objective):
    """mean preference loss + nll · mean loss of the chosen answers' tokens + replay · mean loss of other texts' tokens.

    `reference` is float64[documents]: the sum of log-probabilities of each document's trained tokens under the model
    that training starts from. Documents 2i and 2i + 1 are the chosen and the rejected one of pair i and stand side by
    side in a sequence; documents beyond the reference are text that is replayed.
    The reported loss is in nats a token, of chosen answers and replayed text; all else is in the metrics, in nats an
    answer. A warning tells when the chosen answers have been less likely than at the start for `patience` steps.
    """

    def __init__(
        self,
        reference: np.ndarray,
        *,
        beta: float = 0.1,
        nll: float = 0.2,
        loss_type: LossType = "sigmoid",
        label_smoothing: float = 0.0,
        positive: float = 0.0,
        replay: float = 1.0,
        patience: int = 20,
    ) -> None:
        if len(reference) % 2 or not np.isfinite(reference).all():
            raise ValueError("the reference has a finite number for both documents of every pair")
        self.reference = torch.from_numpy(np.asarray(reference, np.float64))
        self.beta, self.nll, self.replay, self.patience = beta, nll, replay, patience
        self.loss_type, self.label_smoothing, self.positive = loss_type, label_smoothing, positive
        self._below = 0

    def describe(self) -> dict[str, Any]:
        """All but `patience`, which only warns."""
        names = ("beta", "nll", "loss_type", "label_smoothing", "positive", "replay")
        digest = hashlib.sha256(self.reference.numpy().tobytes()).hexdigest()
        return {"objective": "dpo", "reference": digest} | {name: getattr(self, name) for name in names}

    def counts(self, batch: Batch) -> dict[str, int]:
        """Pairs, trained tokens of their chosen answers, trained tokens of replayed text."""
        pairs_P2, text = self._segments(batch)
        chosen = batch.segment_counts[pairs_P2[:, 0]]
        return {"dpo": len(chosen), "nll": int(chosen.sum()), "replay": int(batch.segment_counts[text].sum())}

    def loss(self, model: Decoder, batch: Batch, counts: Mapping[str, int]) -> Losses:
        """Means over the global numbers of pairs and of tokens."""
        hidden_NH = model(batch.tokens, batch.positions, batch.boundaries)
        log_N = token_log_probabilities(hidden_NH, model.head_weight, batch.targets)
        log_S = batch.sum_segments(log_N)
        pairs_P2, text = self._segments(batch)
        reference_P2 = self.reference[batch.documents[pairs_P2]].to(log_S)
        log_P2 = log_S[pairs_P2.to(log_S.device)]
        change_P2 = log_P2 - reference_P2
        losses_P = preference_loss(
            change_P2, self.beta, loss_type=self.loss_type, label_smoothing=self.label_smoothing, positive=self.positive
        )
        replayed = log_S[text.to(log_S.device)].sum()
        terms = {
            "dpo": losses_P.sum() / max(1, counts["dpo"]),
            "nll": -self.nll * log_P2[:, 0].sum() / max(1, counts["nll"]),
            "replay": -self.replay * replayed / max(1, counts["replay"]),
        }
        sums, units = _by_row(batch, log_S.detach(), torch.cat([pairs_P2[:, 0], text]))
        return Losses(terms, sums, units, self._metrics(losses_P.detach(), log_P2.detach(), change_P2.detach()))

    def _metrics(self, losses_P: Tensor, log_P2: Tensor, change_P2: Tensor) -> dict[str, tuple[Tensor, str]]:
        """Means over the pairs; `nll` over the tokens of the chosen answers."""
        margin_P = change_P2[:, 0] - change_P2[:, 1]
        means = {
            "dpo": losses_P,
            "accuracy": (margin_P > 0).to(log_P2),
            "margin": self.beta * margin_P,
            "chosen": log_P2[:, 0],
            "rejected": log_P2[:, 1],
            "chosen_change": change_P2[:, 0],
            "rejected_change": change_P2[:, 1],
            "chosen_fell": (change_P2[:, 0] < 0).to(log_P2),
        }
        return {name: (values.sum(), "dpo") for name, values in means.items()} | {"nll": (-log_P2[:, 0].sum(), "nll")}

    def watch(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Speaks once, when the chosen answers have stayed below the reference for `patience` steps in a row."""
        self._below = self._below + 1 if metrics["chosen_change"] < 0 else 0
        if self._below != self.patience:
            return None
        return (
            f"the chosen answers have been less likely than at the start for {self.patience} steps, now by "
            f"{-metrics['chosen_change']:.2f} nats an answer; raise nll (now {self.nll}) or lower the learning rate"
        )

    def _segments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """int64[P, 2], the segments of the pairs, and those of replayed text; on the host."""
        known, documents = len(self.reference), batch.documents
        ours = (documents >= 0) & (documents < known)
        chosen = torch.nonzero(ours & (documents % 2 == 0))[:, 0]
        beside = documents.roll(-1)[chosen]
        if int(ours.sum()) != 2 * len(chosen) or not torch.equal(beside, documents[chosen] + 1):
            raise ValueError("a pair's chosen and rejected documents do not stand side by side: see build_pair_pack")
        return torch.stack([chosen, chosen + 1], 1), torch.nonzero(documents >= known)[:, 0]


def _by_row(batch: Batch, log_S: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
    """[rows]: what the tokens of some segments (given on the host) lose, and how many they are."""
    rows, there = batch.boundaries.rows, segments.to(log_S.device)
    row = batch.boundaries.offsets[there] // (len(batch.tokens) // rows)
    counts = batch.segment_counts[segments].to(log_S)
    empty = log_S.new_zeros(rows)
    return empty.index_add(0, row, -log_S[there]), empty.index_add(0, row, counts)


@torch.no_grad()
def reference_log_probabilities(model: Decoder, store: TokenStore, work: Path, *, tokens: int = 8192) -> np.ndarray:
    """float64[documents]: the sum of log-probabilities (nats) of each document's trained tokens under `model`.

    At most about `tokens` stand in one forward. The result is kept in `work`, in a file named by the hash of weights,
    precision and data; what a killed run had found is kept there too.
    """
    whole = work / f"reference-{_fingerprint(model, store)}.npy"
    if whole.exists():
        return np.asarray(np.load(whole))
    part = whole.with_suffix(".part")
    found = np.load(part) if part.exists() else np.where(store.lengths > 1, np.nan, 0.0)
    device, saved = model.head_weight.device, time.monotonic()
    with Progress("reference", int(np.isnan(found).sum()), "documents") as bar:
        for batch in _batches(store, found, tokens):
            there = batch.to(device)
            hidden_NH = model(there.tokens, there.positions, there.boundaries)
            log_N = token_log_probabilities(hidden_NH, model.head_weight, there.targets)
            log_S = there.sum_segments(log_N).cpu()
            real = batch.documents >= 0
            found[batch.documents[real].numpy()] = log_S[real].numpy()
            bar.add(int(real.sum()))
            if time.monotonic() - saved > SAVE_SECONDS:
                _save(part, found)
                saved = time.monotonic()
    _save(whole, found)
    files.remove(part)
    return np.asarray(found)


def _batches(store: TokenStore, found: np.ndarray, tokens: int) -> Iterator[Batch]:
    """The batches that hold a document for which nothing is found yet: whole documents, packed by best fit.

    All documents are packed, so that a run that goes on meets the same batches, and with them the same bits.
    """
    documents = np.flatnonzero(store.lengths > 1)
    if not len(documents):
        return
    length = int(store.lengths.max()) - 1
    reader = SequenceReader(store, build_pack(store.lengths, {"all": documents}, length))
    rows = max(1, tokens // length)
    for start in range(0, reader.sizes[0], rows):
        sequences = [reader.read(0, i) for i in range(start, min(start + rows, reader.sizes[0]))]
        if any(np.isnan(found[s.documents[s.documents >= 0]]).any() for s in sequences):
            yield make_batch(sequences)


def _fingerprint(model: Decoder, store: TokenStore) -> str:
    """Names weights, precision and data."""
    digest = hashlib.sha256(str(model.compute_dtype).encode())
    for name, parameter in model.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    data = [files.digest_file(store.folder / name) for name in ("tokens.bin", "tokens.idx", "documents.parquet")]
    return files.fingerprint([digest.hexdigest(), data])


def _save(path: Path, values: np.ndarray) -> None:
    with files.atomic_file(path) as aside, aside.open("wb") as out:
        np.save(out, values)
