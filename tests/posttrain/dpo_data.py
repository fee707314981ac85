"""Preference pairs for the tests of DPO, and readers of them, also for those that run in other processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tilth.model import Decoder, ModelSettings
from tilth.posttrain.pairs import build_pair_pack
from tilth.tokens.reader import NO_LOSS, Sequence
from tilth.training import make_batch
from tilth.training.objective import Objective

Pair = dict[str, list[int]]

MODEL = ModelSettings(hidden=32, heads=4, kv_heads=2, layers=2, output_projections="normal", initial_std=0.1).config(64)


def near_duplicates(count: int = 32, seed: int = 0) -> list[Pair]:
    """Answers of eight tokens that differ in one: the case in which plain DPO lowers both."""
    rng = np.random.default_rng(seed)
    pairs: list[Pair] = []
    for _ in range(count):
        prompt, answer = rng.integers(3, 64, 5).tolist(), rng.integers(3, 64, 8).tolist()
        other, place = list(answer), int(rng.integers(8))
        other[place] = 3 + (other[place] - 3 + int(rng.integers(1, 61))) % 61
        pairs.append({"prompt": [1, *prompt], "chosen": [*answer, 2], "rejected": [*other, 2]})
    return pairs


def documents(pairs: list[Pair]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(tokens, whether each is trained) of the two documents of every pair."""
    found = []
    for pair in pairs:
        for side in ("chosen", "rejected"):
            trained = [False] * len(pair["prompt"]) + [True] * len(pair[side])
            found.append((np.array(pair["prompt"] + pair[side], np.int32), np.array(trained)))
    return found


class PairReader:
    """Packed pairs; every third has a group of its own. `sides` says whose answers have a loss."""

    def __init__(self, pairs: list[Pair], length: int = 64, sides: str = "both") -> None:
        self.documents, self.length, self.sides = documents(pairs), length, sides
        lengths, numbers = np.array([len(ids) for ids, _ in self.documents]), np.arange(len(self.documents))
        groups = {"third": numbers[numbers // 2 % 3 == 0], "rest": numbers[numbers // 2 % 3 != 0]}
        self.pack = build_pair_pack(lengths, groups, length)
        self.group_names, self.sizes = list(groups), [self.pack.sequences(name) for name in groups]

    def read(self, group: int, index: int) -> Sequence:
        """Sequence `index` of a group, padded."""
        name = self.group_names[group]
        first = self.pack.first[name]
        return self.sequence(self.pack.segments[name]["document"][first[index] : first[index + 1]].tolist())

    def sequence(self, numbers: list[int]) -> Sequence:
        """These documents one behind the other."""
        inputs, targets = np.zeros(self.length, np.int32), np.full(self.length, NO_LOSS, np.int32)
        lengths, at = [], 0
        for number in numbers:
            ids, trained = self.documents[number]
            place = slice(at, at := at + len(ids) - 1)
            inputs[place] = ids[:-1]
            if self.sides == "both" or number % 2 == 0:
                targets[place] = np.where(trained[1:], ids[1:], NO_LOSS)
            lengths.append(len(ids) - 1)
        rest = [self.length - at] if at < self.length else []
        documents = np.array(numbers + [-1] * len(rest), np.int64)
        return Sequence(inputs, targets, np.array(lengths + rest, np.int32), documents)


def open_pairs(**options: Any) -> PairReader:
    """The reader of a job."""
    return PairReader(near_duplicates(), **options)


def log_probabilities(model: Decoder, pairs: list[Pair]) -> np.ndarray:
    """float64[documents], each document alone, by torch's own log_softmax."""
    import torch

    found = []
    with torch.no_grad():
        for ids, trained in documents(pairs):
            reader = PairReader([], len(ids) - 1)
            reader.documents = [(ids, trained)]
            batch = make_batch([reader.sequence([0])])
            logits = model.logits(model(batch.tokens, batch.positions, batch.boundaries)).double()
            log_N = torch.log_softmax(logits, -1).gather(1, batch.targets.clamp_min(0)[:, None])[:, 0]
            found.append(float(log_N[batch.targets >= 0].sum()))
    return np.array(found)


def gradients(objective: Objective, model: Decoder, sequences: list[Sequence]) -> tuple[float, dict[str, Any]]:
    """Loss and gradients of one batch whose counts are its own."""
    batch = make_batch(sequences)
    model.zero_grad()
    total = sum(objective.loss(model, batch, objective.counts(batch)).terms.values())
    total.backward()  # type: ignore[union-attr]
    return float(total), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def kill_at(folder: Path, step: int) -> Any:
    """An `on_event` that kills the process behind the checkpoint of `step`."""

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint" and event["step"] == step:
            os.kill(os.getpid(), 9)

    return on_event
