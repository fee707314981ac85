"""What is wrong with a recipe, found before anything runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tilth.base.errors import UserError, nearest
from tilth.base.expression import Condition
from tilth.evaluation.tasks import read_items
from tilth.model import check_exportable, read_config
from tilth.pipeline.forecast import shape_of_recipe
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stages.corpus import benchmark_files, source_files
from tilth.pipeline.stages.posttrain import Step, data_files
from tilth.tokens.templates import chat_template
from tilth.training.settings import FLOAT8_MULTIPLE, MUON_AND_MUP

DOCUMENT_TABLE: dict[str, str | float] = {
    **dict.fromkeys(("id", "domain", "source", "language"), ""),
    **dict.fromkeys(("repeat", "tokens", "bytes"), 0),
}
"""Columns that a group's condition may name, beside `signal.NAME`: each with a value of its kind."""


def check_recipe(recipe: Recipe, base: Path) -> None:
    """Raise UserError for the first thing in the recipe, whose paths are seen from `base`, that cannot work.

    Its place is a setting where one is to blame (`pretrain.main.mixture`), or a file. Of the sources only the names are
    asked (in a folder also the first records of `.json` and of tables); benchmarks, the files of steps and tasks, the
    base's config and its tokenizer are opened.
    """
    from tilth.corpus.chain import build_chain

    source_files(recipe.corpus, base)
    build_chain(recipe.corpus, benchmark_files(recipe.corpus, base))
    _check_groups(recipe, base)
    _check_start(recipe)
    if recipe.pretrain:
        _check_training(recipe)
    _check_optimizers(recipe)
    _check_steps(recipe, base)
    _check_device(recipe)


def _check_groups(recipe: Recipe, base: Path) -> None:
    """Conditions name columns that there are, mixtures name groups that there are."""
    for name, text in recipe.groups.items():
        condition, where = Condition(text), f"groups.{name}"
        for column in condition.names:
            if column not in DOCUMENT_TABLE and not column.startswith("signal."):
                known = [*DOCUMENT_TABLE, "signal.NAME"]
                raise UserError(f"there is no column {column!r}", where=where, hint=nearest(column, known))
        try:
            if DOCUMENT_TABLE.keys() >= set(condition.names):  # a signal may be of either kind
                condition.try_on(DOCUMENT_TABLE)
        except UserError as error:
            raise error.at(where) from None
    domains = known_domains(recipe, base)
    for phase in recipe.pretrain:
        for name in phase.mixture or {}:
            if domains is not None and name not in domains and name not in recipe.groups:
                raise UserError(
                    f"{name!r} is neither a group nor a domain",
                    where=f"pretrain.{phase.name}.mixture",
                    hint=nearest(name, {*domains, *recipe.groups}),
                )


def _check_start(recipe: Recipe) -> None:
    """What training begins with is said once: a base with its own tokenizer and shape, or a new model."""
    if recipe.tokenizer.load is not None:
        for name in ("vocabulary", "train_bytes", "minimum_frequency", "special"):
            if name in recipe.tokenizer.model_fields_set:
                where = f"tokenizer.{name}"
                raise UserError("this says nothing about a tokenizer that is loaded", where=where, hint="remove it")
    if recipe.base is None:
        return
    if recipe.tokenizer.load is None:
        hint = "set tokenizer.load to the base's folder"
        raise UserError("a base model is continued with its own tokenizer", where="base", hint=hint)
    if "model" in recipe.model_fields_set:
        raise UserError("the base says what shape the model has", where="model", hint="remove the section model")
    from tilth.tokens.tokenizer import Tokenizer

    rows, pieces = read_config(recipe.base).vocabulary_size, Tokenizer.load(recipe.tokenizer.load).vocabulary_size
    if pieces > rows:
        raise UserError(f"it has {pieces:,} pieces, the base's embedding {rows:,} rows", where="tokenizer.load")


def _check_training(recipe: Recipe) -> None:
    """There is a hold-out to evaluate on, and no sequence is longer than the model is meant for."""
    if "holdout" not in recipe.corpus.steps or recipe.corpus.holdout.off:
        where, hint = "corpus.holdout", "set corpus.holdout.fraction"
        raise UserError("training is evaluated on held-out text, but none is kept", where=where, hint=hint)
    if recipe.base is None and recipe.export.models != "none":
        check_exportable(recipe.model.config(recipe.tokenizer.vocabulary))
    lengths = {f"pretrain.{phase.name}.sequence_length": phase.sequence_length for phase in recipe.pretrain}
    lengths |= {"evaluate.context": recipe.evaluate.context} if recipe.evaluate.context else {}
    lengths["evaluate.samples.tokens"] = recipe.evaluate.samples.tokens
    for name, length in lengths.items():
        _check_length(recipe, name, length)
    _check_float8(recipe)


def _check_float8(recipe: Recipe) -> None:
    """The device multiplies 8-bit floats, and the sides of the factors are such that it can."""
    asked = {f"pretrain.{phase.name}": phase for phase in recipe.pretrain if phase.precision == "fp8"}
    if not asked:
        return
    shape = shape_of_recipe(recipe)
    widths = {"hidden": shape.hidden, "heads x head_dim": shape.query_width, "kv_heads x head_dim": shape.kv_width,
              "intermediate": shape.intermediate}  # fmt: skip
    if importlib.util.find_spec("torch") is not None:
        import torch

        from tilth.training import device

        try:
            device.check_float8(torch.device(device.kind(recipe.compute.device)))
        except UserError as error:
            raise error.at(f"{next(iter(asked))}.precision") from None
    for name, phase in asked.items():
        for what, size in {**widths, "sequence_length": phase.sequence_length}.items():
            if size % FLOAT8_MULTIPLE:
                raise UserError(
                    f"fp8 wants {what} to be a multiple of {FLOAT8_MULTIPLE}; it is {size:,}",
                    where=f"{name}.precision",
                    hint="change it, or set precision: bf16",
                )


def _check_optimizers(recipe: Recipe) -> None:
    """Groups match parameters of the model, and Muon's scale goes with muP. An adapter's parameters are not known."""
    asked = {f"pretrain.{phase.name}": phase.optimizer for phase in recipe.pretrain}
    asked |= {f"posttrain.{step.name}": step.optimizer for step in recipe.posttrain if step.adapter is None}
    for name, optimizer in asked.items():
        if optimizer.kind == "muon" and optimizer.muon_scale == "adamw" and not recipe.base and recipe.model.mup:
            raise UserError(f"{name}.{MUON_AND_MUP}")
    with_groups = {name: optimizer for name, optimizer in asked.items() if optimizer.groups}
    if not with_groups or importlib.util.find_spec("torch") is None:
        return
    import torch

    from tilth.model import Decoder
    from tilth.training.optimizers import grouped

    with torch.device("meta"):
        model = Decoder(read_config(recipe.base) if recipe.base else recipe.model.config(recipe.tokenizer.vocabulary))
    names: dict[torch.Tensor, str] = {parameter: called for called, parameter in model.named_parameters()}
    for name, optimizer in with_groups.items():
        try:
            grouped(names, optimizer, model.config)
        except UserError as error:
            raise UserError(f"{name}.{error.message}", hint=error.hint) from None


def _check_steps(recipe: Recipe, base: Path) -> None:
    """The files of steps and tasks are there, their templates known, what they replay is pre-training text."""
    domains = known_domains(recipe, base) if recipe.corpus.sources or recipe.synthesize else set()
    for step in recipe.posttrain:
        _check_data(step, base)
        for name in step.replay:
            if domains is not None and name not in domains and name not in recipe.groups:
                raise UserError(
                    f"{name!r} is neither a group nor a domain",
                    where=f"posttrain.{step.name}.replay",
                    hint=nearest(name, {*domains, *recipe.groups}),
                )
        _check_length(recipe, f"posttrain.{step.name}.sequence_length", step.sequence_length)
    for number, task in enumerate(recipe.evaluate.tasks):
        if task.path is not None:
            try:
                read_items(Path(task.path))
            except UserError as error:
                raise error.within(f"evaluate.tasks.{number}") from None


def _check_data(step: Step, base: Path) -> None:
    """The template is known; the files of each entry are there and hold what the step is trained on."""
    from tilth.posttrain.first_look import check_data

    try:
        template = chat_template(step.template) if step.template is not None else None
    except UserError as error:
        raise error.at(f"posttrain.{step.name}.template") from None
    files = data_files(step, base)
    given = [number for number, data in enumerate(step.data) if data.path is not None]
    for source, number in enumerate(given):
        try:
            check_data([file for file in files if file.source == source], template, pairs=step.kind == "dpo")
        except UserError as error:
            raise error.within(f"posttrain.{step.name}.data.{number}") from None


def _check_length(recipe: Recipe, name: str, length: int) -> None:
    """No sequence is longer than the model is meant for."""
    if recipe.base is None:
        positions, whose = recipe.model.max_positions, "model.max_positions"
    else:
        positions, whose = read_config(recipe.base).max_positions, "the base's number of positions"
    if length > positions:
        hint = "lower the one or raise the other"
        raise UserError(f"it is {length:,}, but {whose} is {positions:,}", where=name, hint=hint)


def _check_device(recipe: Recipe) -> None:
    """The device that is asked for by name is there."""
    if recipe.compute.device in ("cuda", "mps") and importlib.util.find_spec("torch") is not None:
        from tilth.training import device

        device.choose(recipe.compute.device)


def known_domains(recipe: Recipe, base: Path) -> set[str] | None:
    """The domains that the sources will give, or None where the records themselves say so."""
    domains: set[str] = {grammar.kind for grammar in recipe.synthesize}
    files = source_files(recipe.corpus, base)
    for number, source in enumerate(recipe.corpus.sources):
        if "{field" in source.domain or not source.domain:
            return None
        if "{stem}" in source.domain:
            stems = {file.path.name.split(".")[0] for file in files if file.source == number}
            domains |= {str(source.domain.replace("{stem}", stem)) for stem in stems}
        else:
            domains.add(source.domain)
    return domains
