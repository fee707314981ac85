"""The training loop: one phase, from a start to a finished folder, through any number of interruptions."""

from __future__ import annotations

import math
import os
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGTERM
from typing import Any

from tilth.base import files
from tilth.base.errors import UserError
from tilth.base.events import Journal, rewind_journal
from tilth.base.progress import Progress
from tilth.training import checkpoint, finished, suspects
from tilth.training.batch import Batch, Pick, make_batch
from tilth.training.computing import Computed
from tilth.training.control import clear_control, find_control, take_control
from tilth.training.interruption import Interrupted, Signals
from tilth.training.job import Job
from tilth.training.nodes import Node
from tilth.training.parallel import World, join
from tilth.training.schedule import multiplier
from tilth.training.speed import Speed, note
from tilth.training.state import PhaseState
from tilth.training.trackers import Trackers, figures
from tilth.training.watchdog import Watchdog
from tilth.training.writer import Writer

MOST_SKIPS = 20
"""Steps in a row whose gradient is not finite: after that many the phase ends."""
SPIKE = 100.0
"""Factor of the rate in a step that is made a spike, for trials."""
UNDECAYED = (
    "weight_decay cannot change where optimizer.weight_decay is 0 or no parameter has it: another stands in proportion "
    "to what is there; begin a phase with one"
)


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
    if finished.is_finished(job.folder):
        files.remove(job.folder / "checkpoints")  # left if it was killed between its last two acts
        return _result(job.folder, files.read_json(job.folder / "state.json"), finished_before=True)
    return _Loop(job, on_event, world).run()


def _result(folder: Path, state: dict[str, Any], *, finished_before: bool = False) -> PhaseResult:
    loss = math.nan if state["loss"] is None else state["loss"]
    return PhaseResult(folder, state["step"], state["tokens"], loss, state["seen"], finished_before)


@dataclass(frozen=True)
class Planned:
    """A step whose sequences are drawn."""

    picks: list[Pick]
    drawn: tuple[int, int]
    """The numbers of its sequences in the phase, those that are left out among them, as [first, stop)."""
    weights: list[float]
    """The mixture."""
    batches: Future[list[Batch]]


class _Loop:
    """The steps of one running phase."""

    def __init__(
        self, job: Job, on_event: Callable[[dict[str, Any]], None] | None = None, world: World | None = None
    ) -> None:
        self.job, self.phase, self.folder, self.on_event = job, job.phase, job.folder, on_event
        self.batches = self.phase.batches
        self.world = world or join(job.compute.device)
        self.state = PhaseState(job, self.world, self._warn, self._tell)
        self.decisions, self.faults = self.state.decisions, self.state.faults
        guard = self.phase.guard
        self.writer = Writer(
            self.folder / "checkpoints",
            job.compute,
            self.world,
            self.faults,
            guard.sustained + guard.margin if guard.sigmas else 0,
            self._tell,
            self._warn,
        )
        self.speed = Speed(self.state)
        first = self.state.step
        for name in ("metrics", "timings"):
            if self.world.first:
                rewind_journal(self.folder / f"{name}.jsonl", lambda record: record["step"] <= first)

    def run(self) -> PhaseResult:
        """All remaining steps, then the finished files."""
        paths = [self.folder / f"{name}.jsonl" for name in ("metrics", "timings")]
        self.metrics, self.timings = (Journal(path if self.world.first else Path(os.devnull)) for path in paths)
        asked = self.job.compute.trackers if self.job.tracking and self.world.first else []
        self.trackers = Trackers(asked, self.job.tracking or self.folder, self.phase.name, self._warn)
        left = self.phase.steps - self.state.step
        node = Node.here(self.folder)
        at_end = None if node is None else partial(node.note_hang, self.world.told(partial(secrets.token_hex, 8)))
        watchdog = Watchdog(self.job.compute.step_limit, self.world.rank, self._tell_from_anywhere, at_end)
        try:
            with Signals() as signals, watchdog, Progress(f"train {self.phase.name}", left, "step") as bar:
                self._train(signals, watchdog, bar)
            self.writer.wait()
        finally:
            self.writer.close()
            self.state.feeder.close()
            for kept in (self.metrics, self.decisions, self.timings, self.trackers):
                kept.close()
        return self._finish()

    def _train(self, signals: Signals, watchdog: Watchdog, bar: Progress) -> None:
        state = self.state
        planned = self._plan(state.step) if state.step < self.phase.steps else None
        while planned is not None:
            watchdog.beat(state.step + 1)
            began = time.monotonic()
            self._strike()
            before = state.order.state_dict()  # as a resumed run must find it to plan the next step again
            current, batches = planned, planned.batches.result()
            planned = None
            if state.step + 1 < self.phase.steps:
                state.weights = self._decide(state.step + 1)
                planned = self._plan(state.step + 1)
            metrics = self._one_step(current, batches)
            timings = self._time(began)
            self.trackers.log(state.step, figures(metrics, timings))
            bar.add(1, note(state.loss, timings))
            if self._spiked():
                if planned is not None:
                    planned.batches.result()
                self._rewind()
                planned = self._plan(state.step)
                continue
            stopped = self._border(signals, before, last=planned is None)
            if stopped:
                saved = self.writer.wait()
                raise Interrupted(state.step, saved or self.folder, signals.received or SIGTERM)

    def _strike(self) -> None:
        """What a fault that is injected does to the process."""
        if self.faults.strikes("kill", self.state.step + 1):
            os.kill(os.getpid(), 9)
        if self.faults.strikes("hang", self.state.step + 1):
            while True:
                time.sleep(1.0)

    def _border(self, signals: Signals, before: dict[str, Any], *, last: bool) -> bool:
        """Between two steps: obey signals and the control file, save what is due; returns whether to stop."""
        self.writer.poll()
        there = self.world.first and find_control(self.folder) is not None
        stop, asked, control = self.world.largest(signals.received or 0, int(signals.take_save()), int(there))
        if control:
            asked |= self._control()
        step = self.state.step
        stopping = bool(stop) or self.decisions.asked("stop_at", step + 1, None) == step
        every = self.decisions.asked("checkpoint_steps", step + 1, self.job.compute.checkpoint_steps)
        if stopping or asked or (step % every == 0 and not last):
            self._save(before)
        return stopping

    def _control(self) -> bool:
        """Take up what a control file asks; returns whether it wants a checkpoint now."""
        step = self.state.step
        found = take_control(self.folder, self._objection) if self.world.first else (None, None)
        shared: tuple[dict[str, Any] | None, str | None] = self.world.gathered(found)[0]
        asked, refused = shared
        if asked is None:
            self._warn(f"step {step}: the control file is refused: {refused}")
            return False
        self.decisions.take({"step": step, "decision": "control", "asked": asked})
        self._tell({"event": "control", "step": step, "asked": asked})
        return bool(asked.get("save"))

    def _objection(self, asked: dict[str, Any]) -> str | None:
        """Why what a control file asks cannot be done in this phase, at this step."""
        step, stop_at = self.state.step, asked.get("stop_at", self.state.step)
        if stop_at < step:
            return f"stop_at is {stop_at}, and step {step} has been taken"
        if stop_at > self.phase.steps:
            return f"stop_at is {stop_at}, and the phase has {self.phase.steps} steps"
        return UNDECAYED if "weight_decay" in asked and not self.state.optimizers.decays else None

    def _decide(self, step: int) -> list[float]:
        """The mixture of `step` (from 0); a change is a decision, written down before it is used."""
        state = self.state
        weights = state.controller.weights(step)
        decided = self.decisions.find("weights", step)
        if decided is not None:
            return list(decided["weights"])
        if state.weights is not None and weights != state.weights:
            self.decisions.take({"step": step, "decision": "weights", "from_step": step + 1, "weights": weights})
        return weights

    def _plan(self, step: int) -> Planned:
        """Draw the sequences of step `step` (from 0), past those that are left out, and have them read."""
        state = self.state
        if state.weights is None:
            state.weights = self._decide(step)
        first, picks = state.order.number, list[Pick]()
        while len(picks) < self.batches.sequences(step):
            left_out = self.decisions.skipped(state.order.number)
            pick = state.order.draw(state.weights)
            if not left_out:
                picks.append(pick)
        return Planned(picks, (first, state.order.number), state.weights, state.feeder.submit(picks))

    def _one_step(self, planned: Planned, batches: list[Batch]) -> dict[str, Any]:
        """Gradient, judgement, clipping, update; returns the metrics."""
        state, picks = self.state, planned.picks
        state.guard.mixture(planned.weights)
        poisoned = self.faults.strikes("nan", state.step + 1)
        state.model.loss_scale = state.loss_scale.value
        found = state.computing.run(self.job.seed, state.step, batches, len(picks), poisoned=poisoned)
        factor = multiplier(self.phase.schedule, self.batches.middle(state.step), self.batches.tokens)
        state.step += 1
        state.tokens = self.batches.before(state.step)
        factor *= self.decisions.rate(state.step)
        worst = suspects.worst(picks, found.sequences)
        accepted = self._accepted(found, picks, worst)
        if accepted:
            clip = self.decisions.asked("gradient_clip", state.step, self.phase.gradient_clip)
            if clip is not None and found.norm > clip:
                state.computing.gradients.scale(clip / found.norm)
            state.optimizers.set_weight_decay(self.decisions.asked("weight_decay", state.step, None))
            spike = self.faults.strikes("spike", state.step)
            state.optimizers.step(factor * SPIKE if spike else factor)
        state.recent.note(state.step, *planned.drawn, worst)
        state.guard.note(found.loss, found.norm, accepted=accepted)
        for name, count in zip(state.names, found.targets, strict=True):
            state.seen[name] += int(count)
        metrics = self._record(found, factor)
        if state.skips >= MOST_SKIPS and not (self._rewind_left() and state.guard.sustained() is not None):
            raise UserError(
                f"phase {self.phase.name}: the gradient was not finite in {state.skips} steps in a row, "
                f"up to step {state.step}",
                hint=f"lower optimizer.learning_rate or lengthen schedule.warmup; their sequences stand in "
                f"{self.decisions.path}",
            )
        return metrics

    def _accepted(self, found: Computed, picks: list[Pick], worst: list[suspects.Suspect]) -> bool:
        """Whether the step is learnt from; if not, say so, and write down which sequences made it unusable."""
        state = self.state
        state.skips = 0 if math.isfinite(found.norm) else state.skips + 1
        decided = self.decisions.find("skip_update", state.step)
        reason = state.guard.judge(found.loss, found.norm)
        overflow = state.loss_scale.is_overflow(found.loss, found.norm)
        fallen = state.loss_scale.note(found.norm)
        if fallen:  # a norm that is not finite: the guard has said so
            reason = f"the gradient overflows fp16; {fallen}" if overflow else f"{reason}; {fallen}"
        if decided:
            reason = decided["reason"]
        if not self.world.any(reason is not None):  # figures of sums over ranks: all see the same, and one is enough
            return True
        reason = reason or "another rank found the step unusable"
        self._warn(f"step {state.step}: {reason}; the update is skipped")
        if decided is None:
            record = {
                "step": state.step,
                "decision": "skip_update",
                "reason": reason,
                "gradient_norm": found.norm if math.isfinite(found.norm) else repr(found.norm),
                "loss": files.finite(found.loss),
            }
            if not overflow:  # that is no document's fault
                record["sequences"] = [[state.names[group], index] for group, index in picks]
                record["suspects"] = suspects.describe(worst, state.reader, state.names, state.model)
            self.decisions.take(record)
        return False

    def _rewind_left(self) -> bool:
        return len(self.decisions.rewinds()) < self.phase.guard.rewinds

    def _spiked(self) -> bool:
        """Whether to go back from a spike that lasts; where no rewind is left, its level is taken as it is."""
        state = self.state
        if state.guard.sustained() is None:
            return False
        if self._rewind_left():
            return True
        self._warn(f"step {state.step}: the loss stays high and no rewind is left; its level is taken as it is")
        self.decisions.take({"step": state.step, "decision": "new_level", "loss": files.finite(state.loss)})
        state.guard.history.clear()
        return False

    def _rewind(self) -> None:
        """Back to the last checkpoint before the spike; the sequences from its beginning on are left out."""
        state, guard, at = self.state, self.phase.guard, self.state.step
        begin = max(1, at - (state.guard.sustained() or 1) + 1 - guard.margin)
        skip, worst, loss = state.recent.drawn(begin), state.recent.worst(begin), state.loss
        self.writer.wait()
        self.world.barrier()
        state.restore(checkpoint.find_checkpoint(self.folder / "checkpoints", self._warn, until=begin - 1))
        named = suspects.describe(worst, state.reader, state.names, state.model)
        self.decisions.take(
            {
                "step": at,
                "decision": "rewind",
                "to": state.step,
                "from_step": begin,
                "skip": list(skip),
                "rate_cut": guard.rate_cut,
                "loss": files.finite(loss),
                "suspects": named,
            }
        )
        if self.world.first:
            for path in (self.folder / "checkpoints").glob("step-*"):
                if checkpoint.step_of(path) > state.step:
                    files.remove(path)
            for journal in (self.metrics, self.timings):
                rewind_journal(journal.path, lambda record: record["step"] <= state.step)
        self.world.barrier()
        self._warn(
            f"step {at}: the loss has risen to {loss:.4g} and stays there; back to step {state.step}, without the "
            f"{skip[1] - skip[0]:,} sequences from step {begin} on (highest loss: "
            f"{', '.join(str(s.get('id', s['document'])) for s in named)})"
        )

    def _record(self, found: Computed, factor: float) -> dict[str, Any]:
        state = self.state
        losses = {n: a / b for n, a, b in zip(state.names, found.losses, found.units, strict=True) if b}
        state.loss = found.loss
        state.controller.observe(state.step - 1, losses)
        warning = state.objective.watch(state.step, found.metrics) if found.metrics else None
        if warning:
            self._warn(f"step {state.step}: {warning}")
        metrics = {name: files.finite(value) for name, value in found.metrics.items()}
        record = {
            "step": state.step,
            "tokens": state.tokens,
            "loss": files.finite(state.loss),
            "groups": {name: files.finite(loss) for name, loss in losses.items()},
            "learning_rate": factor * self.phase.optimizer.learning_rate,
            "gradient_norm": found.norm if math.isfinite(found.norm) else repr(found.norm),
        } | ({"metrics": metrics} if metrics else {})
        if self.phase.batch_ramp:
            record["sequences"] = len(found.sequences)
        self.metrics.append(record)
        return record

    def _time(self, began: float) -> dict[str, Any]:
        record = self.speed.record(time.monotonic() - began)
        self.timings.append(record)
        return record

    def _save(self, order: dict[str, Any]) -> None:
        def sync() -> None:  # a checkpoint is never ahead of its journals, even after a power cut
            for journal in (self.metrics, self.decisions, self.timings) if self.world.first else ():
                journal.sync()

        tensors = checkpoint.tensors_of(self.state.model, self.state.optimizers)
        self.writer.save(tensors, self.state.all_of_it(order), sync)

    def _finish(self) -> PhaseResult:
        state, model = self.state, self.state.model
        kept = state.shared(state.order.state_dict())
        if state.gathering is not None and self.job.adapter is not None:
            state.gathering.bring_home()
        if self.world.first:
            if self.job.adapter is not None:
                group = next(group for group, size in enumerate(state.reader.sizes) if size)
                batch = make_batch([state.reader.read(group, 0)]).to(model.head_weight.device)
                kept["adapter"] = finished.save_and_merge(self.folder, model, self.job.adapter, batch)
                self._tell({"event": "merged"} | kept["adapter"])
            files.write_json(self.folder / "conditions.json", state.conditions)
            if clear_control(self.folder):
                self._warn("a control file came when no step was left to change; it is removed")
        finished.save_final(self.folder, model, state.optimizers, kept)
        if self.world.first:
            files.remove(self.folder / "checkpoints")
        self.world.barrier()
        return _result(self.folder, kept)

    def _warn(self, message: str) -> None:
        if self.world.first:
            sys.stderr.write(f"warning: {message}\n")
        self._tell({"event": "warning", "message": message})

    def _tell(self, record: dict[str, Any]) -> None:
        if self.world.first:
            self._tell_from_anywhere(record)

    def _tell_from_anywhere(self, record: dict[str, Any]) -> None:
        if self.on_event is not None:
            self.on_event(record | {"phase": self.phase.name})
