"""All that a running phase is: model, optimizers, order, controller, guard; where it begins, and how it comes back."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tilth.base import files
from tilth.base.errors import UserError
from tilth.laws.flops import Recompute
from tilth.model import Decoder, DecoderConfig
from tilth.model.adapters import attach
from tilth.training import changes, checkpoint, device, finished
from tilth.training.batch import Feeder, Reader
from tilth.training.computing import Computing
from tilth.training.controller import Controller, FixedMixture
from tilth.training.decisions import Decisions
from tilth.training.faults import Faults
from tilth.training.gathering import Gathering
from tilth.training.guard import Guard
from tilth.training.job import Job, made
from tilth.training.loss_scale import LossScale
from tilth.training.objective import NextToken, Objective
from tilth.training.optimizers import Optimizers
from tilth.training.order import Order
from tilth.training.parallel import World
from tilth.training.partition import Partition
from tilth.training.suspects import Recent


class PhaseState:
    """A phase between two of its steps; made as it stands at the last checkpoint, else at the phase's start."""

    def __init__(
        self, job: Job, world: World, warn: Callable[[str], None], tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self.job, self.phase, self.warn, self.tell = job, job.phase, warn, tell
        self.reader: Reader = made(job.reader)
        if self.reader.length != self.phase.sequence_length:
            raise UserError(
                f"phase {self.phase.name}: sequence_length is {self.phase.sequence_length}, "
                f"the data is packed at {self.reader.length}"
            )
        self.names = list(self.reader.group_names)
        self.world = world
        self.device = device.choose(job.compute.device, self.world.local_rank)
        threads = device.prepare(job.compute, self.device)
        self.dtype, self.products = device.precision(self.phase.precision, self.device)
        compiled = device.compiles(self.phase, self.device)
        conditions = device.conditions(self.device, threads, compiled, self.products)
        self.conditions = conditions | {"ranks": self.world.size}
        if self.phase.precision == "fp8":
            device.check_float8(self.device)
            self.conditions["products"] = "float8"
        if job.compute.shard != "none":
            self.conditions["shard"] = job.compute.shard
            if self.world.size == 1:
                warn(f"compute.shard: {job.compute.shard} does nothing here: there is one process to share with")
        objective, controller = made(job.objective), made(job.controller)
        self.objective: Objective = NextToken(self.phase.z_loss, compiled=compiled) if objective is None else objective
        self.controller: Controller = (
            FixedMixture(self.names, self.reader.sizes, self.phase.mixture) if controller is None else controller
        )
        self._controller_at_start = copy.deepcopy(self.controller.state_dict())
        self.guard = Guard(self.phase.guard)
        self.loss_scale = LossScale(active=self.products == torch.float16)
        self.recent = Recent(self.phase.guard.sustained + self.phase.guard.margin + 1)
        self.about = self._about()
        self.identity = files.fingerprint(list(self.about.values()))
        self._begin()
        self.model.embedding_noise = job.embedding_noise
        dropout = self.phase.dropout
        self.model.dropout = self.model.dropout._replace(embedding=dropout.embedding, residual=dropout.residual)
        self.model.recompute = self._recompute()
        self.model.train()
        if compiled:
            for part in (*self.model.blocks, self.model.norm):  # one graph serves all layers
                part.compile(dynamic=False)
        self.computing = Computing(
            self.phase.name,
            self.model,
            self.objective,
            self.world,
            self.device,
            len(self.names),
            self.warn,
            self.partition,
            self.gathering,
        )
        micro_batch = self.phase.micro_batch_sequences
        self.feeder = Feeder(self.reader, micro_batch, self.world.rank, self.world.size, self.device)

    def _recompute(self) -> Recompute:
        """As the job says; what was chosen for it, and why, is an event: no bit of the result hangs on it."""
        wanted, because = self.job.compute.recompute, self.job.recompute_because
        if wanted == "auto":
            raise UserError("recompute: auto is decided by `tilth run`: here say none, selective or full")
        if because:
            self.tell({"event": "recompute", "recompute": wanted, "because": because})
        return wanted

    def _about(self) -> dict[str, Any]:
        """What shapes the phase: a checkpoint of another is not gone on from."""
        job = self.job
        origin = (
            job.start.canonical()
            if isinstance(job.start, DecoderConfig)
            else self.world.told(partial(finished.digest_start, job.start, fresh=job.fresh))
        )
        return {
            "phase": self.phase.shaping(),
            "seed": job.seed,
            "groups": self.names,
            "sequences of each group": list(self.reader.sizes),
            "start": origin,
            "objective": self.objective.describe(),
            "adapter": job.adapter and job.adapter.canonical(),
            "embedding_noise": job.embedding_noise,
        }

    def _begin(self) -> None:
        """Build the model, and go to the last checkpoint or to the start."""
        folder = self.job.folder / "checkpoints"
        saved = checkpoint.find_checkpoint(folder, self.warn)
        if saved:
            self._check(checkpoint.read_state(saved), saved)
        self.decisions = self._open_decisions(fresh=saved is None)
        saved = self._untainted(saved)
        self.faults = Faults(self.job.folder, self.world.rank, self.job.compute.faults)
        self.model = self._build(filled=saved is not None and self.job.adapter is None)
        self.partition = Partition(self.model.parameters(), self.world, self.job.compute.shard)
        self.gathering = Gathering(self.model, self.partition, self.device) if self.partition.stage == 3 else None
        if self.gathering is None:
            self.model.to(self.device)
        self.optimizers = Optimizers(self.model, self.phase.optimizer, self.products, self.partition)
        if saved is None:
            self._to_start()
        else:
            self.restore(saved)
            for name, value in self.conditions.items():
                before = checkpoint.read_state(saved)["conditions"].get(name)
                if before != value:
                    self.warn(f"{name} was {before!r}, now {value!r}: the last bits may differ")
            self.tell({"event": "resumed", "step": self.step, "checkpoint": saved.name})

    def _build(self, *, filled: bool) -> Decoder:
        """The model as it begins, on the host; its shape alone where a checkpoint will fill it (not where an adapter is
        trained: the checkpoint holds that alone)."""
        model = finished.start_model(self.job.start, self.job.seed, self.dtype, filled=filled)
        model.compute_dtype = self.products
        if self.phase.precision == "fp8":
            model.use_float8()
        if self.job.adapter is not None:
            attach(model, self.job.adapter, self.job.seed)
        return model

    def _check(self, state: dict[str, Any], saved: Path) -> None:
        if state["identity"] != self.identity:
            different = changes.differences(state.get("about", {}), self.about)
            raise UserError(
                f"this checkpoint belongs to other settings, data or weights to start from{different}",
                where=str(saved),
                hint="use another folder, or remove it to begin the phase again; see `tilth resume --explain`",
            )

    def _open_decisions(self, *, fresh: bool) -> Decisions:
        """The journal of decisions; where no checkpoint relies on it, one of another phase is begun anew."""
        path, mark = self.job.folder / "decisions.jsonl", self.job.folder / "checkpoints" / "identity.json"
        if self.world.first and fresh and not (mark.exists() and files.read_json(mark) == self.identity):
            files.remove(path)
            files.remove(self.job.folder / "checkpoints" / "faults.jsonl")
            if self.job.decisions is not None:
                files.write_text(path, self.job.decisions.read_text(encoding="utf-8"))
            files.write_json(mark, self.identity)
        self.world.barrier()
        decisions = Decisions(path, writes=self.world.first)
        self.world.barrier()
        return decisions

    def _untainted(self, saved: Path | None) -> Path | None:
        """The newest checkpoint that no rewind has left behind: one may stand there if the run was killed just then."""
        while saved is not None:
            step, known = checkpoint.step_of(saved), checkpoint.read_state(saved).get("rewinds", 0)
            left = [record["to"] for record in self.decisions.rewinds()[known:] if record["to"] < step]
            if not left:
                return saved
            saved = checkpoint.find_checkpoint(self.job.folder / "checkpoints", self.warn, until=min(left))
        return None

    def restore(self, saved: Path | None) -> None:
        """Be as at this checkpoint; None: as at the phase's start."""
        if saved is None:
            with torch.no_grad():
                fresh = dict(self._build(filled=False).named_parameters())
                for name, parameter in self.model.named_parameters():
                    if self.partition.holds(parameter):
                        parameter.copy_(fresh[name])
            self._to_start()
            return
        checkpoint.load_checkpoint(saved, self.model, self.optimizers)
        state = checkpoint.read_state(saved)
        self.step, self.tokens, self.seen = state["step"], state["tokens"], state["seen"]
        self.loss, self.skips = math.nan if state["loss"] is None else state["loss"], state["skips"]
        self.order = self._new_order()
        self.order.load_state_dict(state["order"])
        self.controller.load_state_dict(state["controller"])
        self.weights: list[float] | None = state["weights"]
        """The mixture of the step that is planned next, decided already."""
        self.decisions.check(self.step, state.get("decisions", 0))
        if "loss_scale" in state:
            self.loss_scale.load_state_dict(state["loss_scale"])
        if "guard" in state:
            self.guard.load_state_dict(state["guard"])
            self.recent.load_state_dict(state["recent"])

    def _new_order(self) -> Order:
        return Order(self.names, self.reader.sizes, self.reader.length, self.job.seed)

    def _to_start(self) -> None:
        """Be as before the first step, but for the weights: these are the start's already."""
        self.step, self.tokens, self.loss, self.skips = 0, 0, math.nan, 0
        self.seen = dict.fromkeys(self.names, 0)
        self.order = self._new_order()
        self.controller.load_state_dict(copy.deepcopy(self._controller_at_start))
        self.weights = None
        self.guard = Guard(self.phase.guard)
        self.loss_scale.reset()
        self.recent.load_state_dict([])
        for tensor in self.optimizers.state().values():
            tensor.zero_()
        start = self.job.start
        if not isinstance(start, Path) or not finished.is_finished(start) or self.job.fresh:
            return
        before = files.read_json(start / "state.json")
        self.order.continue_from(before["order"])
        self.seen |= before["seen"]
        if before["optimizer"] != self.phase.optimizer.kind:
            self.warn(f"the phase before used {before['optimizer']}: optimizer state begins at zero")
        elif self.job.adapter is not None or "adapter" in before:
            self.warn("an adapter's optimizer state is not of these weights: optimizer state begins at zero")
        else:
            finished.load_optimizer(start, self.optimizers)

    def shared(self, order: dict[str, Any]) -> dict[str, Any]:
        """What a finished phase says of itself."""
        return {
            "step": self.step,
            "tokens": self.tokens,
            "loss": files.finite(self.loss),
            "seen": dict(self.seen),
            "order": order,
            "controller": copy.deepcopy(self.controller.state_dict()),
            "optimizer": self.phase.optimizer.kind,
            "phase": self.phase.shaping(),
            "seed": self.job.seed,
        }

    def all_of_it(self, order: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint holds beside its tensors; nothing in it changes when training goes on."""
        return self.shared(order) | {
            "skips": self.skips,
            "weights": self.weights,
            "guard": self.guard.state_dict(),
            "recent": self.recent.state_dict(),
            "decisions": self.decisions.count(self.step),
            "rewinds": len(self.decisions.rewinds()),
            "loss_scale": self.loss_scale.state_dict(),
            "identity": self.identity,
            "about": self.about,
            "conditions": self.conditions,
        }
