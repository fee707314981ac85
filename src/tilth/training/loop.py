"""The training loop: one phase, from a start to a finished folder, through any number of interruptions."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGTERM
from typing import Any

import torch
from torch import Tensor

from tilth.base import files
from tilth.base.errors import UserError
from tilth.base.events import Journal, rewind_journal
from tilth.base.keyed import stable_hash
from tilth.base.progress import Progress
from tilth.model import Decoder, DecoderConfig
from tilth.model.adapters import attach
from tilth.training import checkpoint, device
from tilth.training.batch import Batch, Feeder, Pick, Reader, make_batch
from tilth.training.controller import Controller, FixedMixture
from tilth.training.interruption import Interrupted, Signals
from tilth.training.job import Job, made
from tilth.training.objective import NextToken, Objective
from tilth.training.optimizers import Optimizers
from tilth.training.order import Order
from tilth.training.parallel import GradientBuffer, World, join
from tilth.training.schedule import step_multiplier

MOST_SKIPS = 20
"""Steps in a row whose gradient is not finite: after that many the phase ends."""


@dataclass(frozen=True)
class PhaseResult:
    """A finished phase."""

    folder: Path
    steps: int
    tokens: int
    """Tokens of this phase."""
    loss: float
    """Mean loss of the last step (nats a token, if the objective says nothing else); NaN where it was not finite."""
    seen: dict[str, int]
    """Targets of each group since the first phase."""
    finished_before: bool = False
    """Nothing was left to do."""


def train_phase(
    job: Job, on_event: Callable[[dict[str, Any]], None] | None = None, world: World | None = None
) -> PhaseResult:
    """Train the job's phase in its folder, going on from the last checkpoint there if there is one.

    `on_event` receives warnings and checkpoints as plain records; `world` is this process among others that have been
    joined. Raises Interrupted after Ctrl-C or SIGTERM, with the state saved, and UserError where the data, the mixture
    or the start do not fit.
    """
    if checkpoint.is_finished(job.folder):
        files.remove(job.folder / "checkpoints")  # left if it was killed between its last two acts
        return _result(job.folder, files.read_json(job.folder / "state.json"), finished_before=True)
    return _Phase(job, on_event, world).run()


def _result(folder: Path, state: dict[str, Any], *, finished_before: bool = False) -> PhaseResult:
    return PhaseResult(folder, state["step"], state["tokens"], _number(state["loss"]), state["seen"], finished_before)


def _finite(value: float) -> float | None:
    """What JSON can hold: None for NaN and the infinities."""
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


class _Phase:
    """The state of one running phase."""

    def __init__(
        self, job: Job, on_event: Callable[[dict[str, Any]], None] | None = None, world: World | None = None
    ) -> None:
        self.phase, self.folder, self.seed, self.compute = job.phase, job.folder, job.seed, job.compute
        self.adapter, self.on_event = job.adapter, on_event
        self.reader: Reader = made(job.reader)
        phase, reader = self.phase, self.reader
        if reader.length != phase.sequence_length:
            raise UserError(
                f"phase {phase.name}: sequence_length is {phase.sequence_length}, the data is packed at {reader.length}"
            )
        self.names = list(reader.group_names)
        self.world = world or join(job.compute.device)
        self.device = device.choose(job.compute.device, self.world.local_rank)
        threads = device.prepare(job.compute, self.device)
        parameters, products = device.precision(phase.precision, self.device)
        compiled = device.compiles(phase, self.device)
        self.conditions = device.conditions(self.device, threads, compiled, products) | {"ranks": self.world.size}
        objective, controller = made(job.objective), made(job.controller)
        self.objective: Objective = NextToken(phase.z_loss, compiled=compiled) if objective is None else objective
        self.identity = self._identity(job)
        self.step, self.tokens, self.loss, self.skips = 0, 0, math.nan, 0
        self.seen = dict.fromkeys(self.names, 0)
        self.order = Order(self.names, reader.sizes, reader.length, job.seed)
        self.controller: Controller = (
            FixedMixture(self.names, reader.sizes, phase.mixture) if controller is None else controller
        )
        self.weights: list[float] | None = None
        """The mixture of the step that is planned next, decided already."""
        self._begin(job.start, job.fresh, parameters, products)
        self.model.embedding_noise = job.embedding_noise
        self.model.recompute = job.compute.recompute
        self.model.train()
        if compiled:
            for part in (*self.model.blocks, self.model.norm):  # one graph serves all layers
                part.compile(dynamic=False)
        self.gradients = GradientBuffer(self.model.parameters())
        share = -(-phase.sequences // self.world.size)
        micro_batch = min(share, phase.micro_batch_sequences)
        self.feeder = Feeder(reader, micro_batch, self.world.rank, self.world.size, self.device)

    def _identity(self, job: Job) -> str:
        """What shapes the phase, in 16 hex digits: a checkpoint of another is not gone on from."""
        origin = (
            job.start.canonical()
            if isinstance(job.start, DecoderConfig)
            else self.world.told(partial(checkpoint.digest_start, job.start, fresh=job.fresh))
        )
        data = [self.names, list(self.reader.sizes)]
        added = [self.objective.describe(), job.adapter and job.adapter.canonical(), job.embedding_noise]
        return files.fingerprint([job.phase.shaping(), job.seed, *data, origin, *added])

    def _begin(self, start: DecoderConfig | Path, fresh: bool, parameters: torch.dtype, products: torch.dtype) -> None:
        """The model and everything else as they stand at the last checkpoint, else at the phase's start."""
        saved = checkpoint.find_checkpoint(self.folder / "checkpoints", self._warn)
        if saved:
            self._check(checkpoint.read_state(saved), saved)
        filled = saved is not None and self.adapter is None  # beside an adapter the frozen weights are the start's
        self.model: Decoder = checkpoint.start_model(start, self.seed, parameters, filled=filled).to(self.device)
        self.model.compute_dtype = products
        if self.adapter is not None:
            attach(self.model, self.adapter, self.seed)
        self.optimizers = Optimizers(self.model, self.phase.optimizer, products)
        if saved:
            checkpoint.load_checkpoint(saved, self.model, self.optimizers)
            self._resume(checkpoint.read_state(saved), saved)
        elif isinstance(start, Path) and checkpoint.is_finished(start) and not fresh:
            before = files.read_json(start / "state.json")
            self.order.continue_from(before["order"])
            self.seen |= before["seen"]
            if before["optimizer"] != self.phase.optimizer.kind:
                self._warn(f"the phase before used {before['optimizer']}: optimizer state begins at zero")
            elif self.adapter is not None or "adapter" in before:
                self._warn("an adapter's optimizer state is not of these weights: optimizer state begins at zero")
            else:
                checkpoint.load_optimizer(start, self.optimizers)
        for name in ("metrics", "decisions", "timings"):
            if self.world.first:
                rewind_journal(self.folder / f"{name}.jsonl", lambda record: record["step"] <= self.step)

    def _check(self, state: dict[str, Any], saved: Path) -> None:
        if state["identity"] != self.identity:
            raise UserError(
                "this checkpoint belongs to other settings, data or weights to start from",
                where=str(saved),
                hint="use another folder, or remove it to begin the phase again",
            )

    def _resume(self, state: dict[str, Any], saved: Path) -> None:
        for name, value in self.conditions.items():
            if state["conditions"].get(name) != value:
                self._warn(f"{name} was {state['conditions'].get(name)!r}, now {value!r}: the last bits may differ")
        self.step, self.tokens, self.seen = state["step"], state["tokens"], state["seen"]
        self.loss, self.skips = _number(state["loss"]), state["skips"]
        self.order.load_state_dict(state["order"])
        self.controller.load_state_dict(state["controller"])
        self.weights = state["weights"]
        self._tell({"event": "resumed", "step": self.step, "checkpoint": saved.name})

    def run(self) -> PhaseResult:
        """All remaining steps, then the finished files."""
        names = ("metrics", "decisions", "timings")
        journals = [Journal(self.folder / f"{name}.jsonl" if self.world.first else Path(os.devnull)) for name in names]
        self.metrics, self.decisions, self.timings = journals
        left = self.phase.steps - self.step
        try:
            with Signals() as signals, Progress(f"train {self.phase.name}", left, "step") as bar:
                self._train(signals, bar)
        finally:
            self.feeder.close()
            for journal in journals:
                journal.close()
        return self._finish()

    def _train(self, signals: Signals, bar: Progress) -> None:
        planned = self._plan() if self.step < self.phase.steps else None
        while planned is not None:
            began = time.monotonic()
            before = self.order.state_dict()  # as a resumed run must find it to plan the next step again
            picks, batches = planned[0], planned[1].result()
            planned = None
            if self.step + 1 < self.phase.steps:
                self.weights = self._decide(self.step + 1)
                planned = self._plan()
            self._one_step(picks, batches)
            self._time(began)
            bar.add(1, f"loss {self.loss:.3f}")
            stopped = self.world.any(signals.received is not None)
            due = self.step % self.compute.checkpoint_steps == 0 and planned is not None
            if stopped or due:
                saved = self._save(before)
                if stopped:
                    raise Interrupted(self.step, saved, signals.received or SIGTERM)

    def _decide(self, step: int) -> list[float]:
        """The mixture of `step`; a change is a decision, written down before it is used."""
        weights = self.controller.weights(step)
        if self.weights is not None and weights != self.weights and self.world.first:
            self.decisions.append(
                {"step": self.step + 1, "decision": "weights", "from_step": step + 1, "weights": weights}, durable=True
            )
        return weights

    def _plan(self) -> tuple[list[Pick], Future[list[Batch]]]:
        """Draw the sequences of the next step and have them read."""
        if self.weights is None:
            self.weights = self._decide(self.step)
        picks = [self.order.draw(self.weights) for _ in range(self.phase.sequences)]
        return picks, self.feeder.submit(picks)

    def _one_step(self, picks: list[Pick], batches: list[Batch]) -> None:
        """Forward and backward of every micro-batch, sums over ranks, clipping, update, metrics."""
        torch.manual_seed(stable_hash(self.seed, "step", self.step, self.world.rank) >> 1)
        self.gradients.zero()
        exact = torch.float32 if self.device.type == "mps" else torch.float64
        sums = torch.zeros(3, len(self.names), dtype=exact, device=self.device)
        reported: list[dict[str, tuple[Tensor, str]]] = []
        counts = self._counts(batches)
        for batch in batches:
            losses = self.objective.loss(self.model, batch, counts)
            torch.stack(list(losses.terms.values())).sum().backward()
            units = batch.counts if losses.units is None else losses.units
            for row, amounts in zip(sums, (losses.sums, units, batch.counts), strict=True):
                row.index_add_(0, batch.groups, amounts.to(exact))
            reported.append(losses.metrics)
        self.gradients.sum(self.world)
        loss_G, unit_G, target_G = self.world.sum(sums).tolist()
        metrics = self._metrics(reported, counts, exact)
        multiplier = step_multiplier(self.phase.schedule, self.step, self.phase.step_tokens, self.phase.steps)
        norm = self.gradients.norm()
        self.step += 1
        self.tokens += self.phase.step_tokens
        if math.isfinite(norm):
            self.skips = 0
            if self.phase.gradient_clip is not None and norm > self.phase.gradient_clip:
                self.gradients.scale(self.phase.gradient_clip / norm)
            self.optimizers.step(multiplier)
        else:  # the norm is of summed gradients, so every rank decides the same
            self._skip_update(picks, norm)
        for name, count in zip(self.names, target_G, strict=True):
            self.seen[name] += int(count)
        self._record(loss_G, unit_G, metrics, multiplier, norm)
        if self.skips >= MOST_SKIPS:
            raise UserError(
                f"phase {self.phase.name}: the gradient was not finite in {self.skips} steps in a row, "
                f"up to step {self.step}",
                hint=f"lower optimizer.learning_rate or lengthen schedule.warmup; their sequences stand in "
                f"{self.decisions.path}",
            )

    def _skip_update(self, picks: list[Pick], norm: float) -> None:
        """Say, and write down which sequences made the step unusable."""
        self.skips += 1
        self._warn(f"step {self.step}: the gradient is not finite ({norm}); the update is skipped")
        sequences = [[self.names[group], index] for group, index in picks]
        record = {"step": self.step, "decision": "skip_update", "gradient_norm": repr(norm), "sequences": sequences}
        if self.world.first:
            self.decisions.append(record, durable=True)

    def _counts(self, batches: list[Batch]) -> dict[str, int]:
        """Global denominators of the step."""
        counts: dict[str, int] = {}
        for batch in batches:
            for term, count in self.objective.counts(batch).items():
                counts[term] = counts.get(term, 0) + count
        if self.world.size == 1:
            return counts
        totals = self.world.sum(torch.tensor(list(counts.values()), device=self.device)).tolist()
        return dict(zip(counts, totals, strict=True))

    def _metrics(
        self, reported: list[dict[str, tuple[Tensor, str]]], counts: dict[str, int], exact: torch.dtype
    ) -> dict[str, float]:
        """Global means of what the objective reports beside its loss."""
        if not reported[0]:
            return {}
        sums = torch.stack([torch.stack([value.to(exact) for value, _ in part.values()]) for part in reported]).sum(0)
        terms = [term for _, term in reported[0].values()]
        totals = self.world.sum(sums).tolist()
        return {name: x / max(1, counts[term]) for name, x, term in zip(reported[0], totals, terms, strict=True)}

    def _record(
        self, loss_G: list[float], unit_G: list[float], metrics: dict[str, float], multiplier: float, norm: float
    ) -> None:
        losses = {n: a / b for n, a, b in zip(self.names, loss_G, unit_G, strict=True) if b}
        self.loss = sum(loss_G) / max(1, sum(unit_G))
        self.controller.observe(self.step - 1, losses)
        warning = self.objective.watch(self.step, metrics) if metrics else None
        if warning:
            self._warn(f"step {self.step}: {warning}")
        if self.world.first:
            self.metrics.append(
                {
                    "step": self.step,
                    "tokens": self.tokens,
                    "loss": _finite(self.loss),
                    "groups": {name: _finite(loss) for name, loss in losses.items()},
                    "learning_rate": multiplier * self.phase.optimizer.learning_rate,
                    "gradient_norm": norm if math.isfinite(norm) else repr(norm),
                }
                | ({"metrics": {name: _finite(value) for name, value in metrics.items()}} if metrics else {})
            )

    def _time(self, began: float) -> None:
        if self.world.first:
            seconds = time.monotonic() - began
            self.timings.append(
                {
                    "step": self.step,
                    "seconds": round(seconds, 6),
                    "tokens_per_second": round(self.phase.step_tokens / seconds, 1),
                    "peak_memory_bytes": device.peak_memory(self.device),
                }
            )

    def _state(self, order: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self.step,
            "tokens": self.tokens,
            "loss": _finite(self.loss),
            "seen": self.seen,
            "order": order,
            "controller": self.controller.state_dict(),
            "optimizer": self.phase.optimizer.kind,
            "phase": self.phase.shaping(),
            "seed": self.seed,
        }

    def _save(self, order: dict[str, Any]) -> Path:
        began = time.monotonic()
        if self.world.first:
            for journal in (self.metrics, self.decisions, self.timings):
                journal.sync()  # a checkpoint is never ahead of them, even after a power cut
        state = self._state(order) | {
            "skips": self.skips,
            "weights": self.weights,
            "identity": self.identity,
            "conditions": self.conditions,
        }
        saved = checkpoint.save_checkpoint(
            self.folder / "checkpoints",
            self.step,
            self.model,
            self.optimizers,
            state,
            self.world,
            self.compute.checkpoint_keep,
        )
        self._tell({"event": "checkpoint", "step": self.step, "seconds": round(time.monotonic() - began, 3)})
        return saved

    def _finish(self) -> PhaseResult:
        state = self._state(self.order.state_dict())
        if self.world.first:
            if self.adapter is not None:
                group = next(group for group, size in enumerate(self.reader.sizes) if size)
                batch = make_batch([self.reader.read(group, 0)]).to(self.device)
                state["adapter"] = checkpoint.save_and_merge(self.folder, self.model, self.adapter, batch)
                self._tell({"event": "merged"} | state["adapter"])
            files.write_json(self.folder / "conditions.json", self.conditions)
            checkpoint.save_final(self.folder, self.model, self.optimizers, state)
            files.remove(self.folder / "checkpoints")
        self.world.barrier()
        return _result(self.folder, state)

    def _warn(self, message: str) -> None:
        if self.world.first:
            sys.stderr.write(f"warning: {message}\n")
        self._tell({"event": "warning", "message": message})

    def _tell(self, record: dict[str, Any]) -> None:
        if self.on_event is not None and self.world.first:
            self.on_event(record | {"phase": self.phase.name})
