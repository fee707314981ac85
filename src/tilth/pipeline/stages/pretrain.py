"""A phase of pre-training as a stage: its input is the phase before, its output the weights and the optimizer state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.base.errors import UserError
from tilth.base.files import read_json
from tilth.pipeline.amounts import asked
from tilth.pipeline.memory import decided
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stage import Context, Stage
from tilth.pipeline.stages.tokens import group_table
from tilth.training.folder import MEASURED_FILES
from tilth.training.job import Factory, Job
from tilth.training.settings import PhaseSettings

if TYPE_CHECKING:
    from tilth.model.config import DecoderConfig
    from tilth.tokens.reader import SequenceReader

VERSION = 2


Planned = Sequence[tuple[PhaseSettings, Stage]]
"""Every phase of the recipe with the pack that it reads."""


def phase_stage(
    recipe: Recipe,
    phase: PhaseSettings,
    tokens: Stage,
    pack: Stage,
    before: Stage | None,
    external: dict[str, Any],
    planned: Planned,
) -> Stage:
    """One phase; `before` is the phase that it goes on from (None: a new model, or the recipe's base).

    `planned` are all phases: before the first of them starts, each is checked against the data.
    """
    settings = {"phase": phase.shaping(), "seed": recipe.seed, "base": recipe.base is not None}
    if before is None and recipe.base is None:
        settings["model"] = recipe.model.canonical()
    inputs = {"tokens": tokens, "pack": pack, "tokenizer": tokens.inputs["tokenizer"]}
    if before is not None:
        inputs["before"] = before
    return Stage(
        f"pretrain-{phase.name}",
        VERSION,
        settings,
        partial(_train, recipe=recipe, phase=phase, planned=planned),
        inputs,
        external,
        measured=MEASURED_FILES,
        needs_torch=True,
    )


def _train(context: Context, recipe: Recipe, phase: PhaseSettings, planned: Planned) -> dict[str, Any]:
    packs = [(other, context.run_folder / pack.folder) for other, pack in planned]
    check_epochs([(other, group_table(folder)) for other, folder in packs if folder.exists()])
    data = {name: str(context.inputs[input].resolve()) for name, input in (("store", "tokens"), ("pack", "pack"))}
    reader = Factory("tilth.pipeline.stages.pretrain:open_reader", data)
    job = Job(
        phase=phase,
        reader=reader,
        folder=context.out,
        start=_start(context, recipe),
        seed=recipe.seed,
        compute=context.compute,
    )
    return run_phase(context, job)


def run_phase(context: Context, job: Job) -> dict[str, Any]:
    """Train a phase into the artifact, in this process or in several."""
    from tilth.training.interruption import Interrupted
    from tilth.training.launch import launch_job, run_job

    followed = context.work / "decisions.jsonl"
    if followed.exists():  # laid there to be repeated
        job = replace(job, decisions=followed)
    job = decided(replace(job, tracking=context.run_folder / "tracking"))
    path = context.work / "job.json"
    job.save(path)
    if context.compute.processes > 1 or context.compute.restarts:
        launch_job(path, context.compute.processes, context.events.path, context.compute.restarts)
    else:
        try:
            run_job(path, context.events.append)
        except Interrupted as stopped:  # Ctrl-C or SIGTERM, with the state saved
            raise KeyboardInterrupt from stopped
    state = read_json(context.out / "state.json")
    return {"steps": state["step"], "tokens": state["tokens"], "loss": state["loss"], "targets_seen": state["seen"]}


def open_reader(store: str, pack: str) -> SequenceReader:
    """The training sequences; every process opens its own."""
    from tilth.tokens.pack import Pack
    from tilth.tokens.reader import SequenceReader
    from tilth.tokens.store import TokenStore

    return SequenceReader(TokenStore(Path(store) / "train"), Pack.load(Path(pack)))


def _start(context: Context, recipe: Recipe) -> DecoderConfig | Path:
    """What the phase begins with: a folder of weights, or the shape of a new model."""
    if "before" in context.inputs:
        return context.inputs["before"]
    if recipe.base is not None:
        return recipe.base
    from tilth.tokens.tokenizer import Tokenizer

    return recipe.model.config(Tokenizer.load(context.inputs["tokenizer"]).vocabulary_size)


def check_epochs(planned: Sequence[tuple[PhaseSettings, dict[str, dict[str, Any]]]]) -> None:
    """Refuse a phase by whose end a group would have been read more than `max_epochs` times.

    `planned` are phases in order, each with the table of its groups; they are read in proportion to size where a phase
    has no mixture.
    """
    tables = {phase.name: groups for phase, groups in planned}
    in_proportion = {name: {group: row["sequences"] for group, row in table.items()} for name, table in tables.items()}
    for phase, name, tokens in asked([(phase, phase.mixture or in_proportion[phase.name]) for phase, _ in planned]):
        group = tables[phase.name][name]
        epochs = tokens / phase.sequence_length / max(1, group["sequences"])
        if epochs > phase.max_epochs:
            raise UserError(
                f"pretrain.{phase.name}: by its end {tokens:,.0f} tokens of {name!r} "
                f"are asked, but there are {group['pairs']:,}: {epochs:.1f} epochs",
                hint=f"lower its weight or the tokens, give more text, or set max_epochs: {math.ceil(epochs)}",
            )
