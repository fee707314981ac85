"""From a recipe to its stages, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base.files import ContentHashes, list_files
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stage import Stage
from tilth.pipeline.stages import corpus as corpus_stages
from tilth.pipeline.stages import finish, posttrain, pretrain
from tilth.pipeline.stages import tokens as token_stages
from tilth.pipeline.stages.posttrain import Step
from tilth.posttrain.settings import DPOSettings


@dataclass(frozen=True)
class Graph:
    """The stages of a recipe; each one's inputs stand before it."""

    stages: tuple[Stage, ...]
    hashes: ContentHashes
    """Of the source files; `hashes.bytes_read` is 0 when none has changed since they were saved."""

    def named(self, name: str) -> Stage | None:
        """The stage called `name`, if the recipe has it."""
        return next((stage for stage in self.stages if stage.name == name), None)


def build_graph(recipe: Recipe, base: Path, run_folder: Path) -> Graph:
    """The stages of `recipe`, whose paths are relative to the folder `base`."""
    hashes = ContentHashes(run_folder / ".cache" / "content_hashes.json")
    building = _Building(recipe, base, hashes)
    building.text()
    if recipe.pretrain or recipe.posttrain:
        building.training()
    return Graph(tuple(building.stages), hashes)


class _Building:
    """The stages so far, each one's inputs before it."""

    def __init__(self, recipe: Recipe, base: Path, hashes: ContentHashes) -> None:
        self.recipe, self.base, self.hashes = recipe, base, hashes
        self.stages: list[Stage] = []
        self.tokens: Stage | None = None
        """The token store of the corpus, where there is a corpus."""
        self.planted: Stage | None = None
        """The corpus, where canaries are planted in it."""
        self.origin = _contents(recipe.base, hashes)
        """The content of the recipe's base."""

    def add(self, stage: Stage) -> Stage:
        """The stage, or the one of the same fingerprint that is there already."""
        known = next((other for other in self.stages if other.folder == stage.folder), None)
        if known is None:
            self.stages.append(stage)
        return known or stage

    def text(self) -> None:
        """From sources to tokens; without sources the tokenizer alone."""
        recipe, base, hashes = self.recipe, self.base, self.hashes
        corpus = None
        if recipe.corpus.sources or recipe.synthesize:
            synthesized = self.add(corpus_stages.synthesize_stage(recipe)) if recipe.synthesize else None
            measured = self.add(corpus_stages.measure_stage(recipe, base, synthesized, hashes))
            corpus = self.add(corpus_stages.corpus_stage(recipe, base, measured, hashes))
            self.planted = corpus if recipe.corpus.canaries.count else None
        loaded = _tokenizer_contents(recipe.tokenizer.load, hashes)
        self.tokenizer = self.add(token_stages.tokenizer_stage(recipe, corpus, loaded))
        if corpus is not None:
            self.tokens = self.add(token_stages.tokens_stage(corpus, self.tokenizer))

    def pack(self, part: str, length: int, groups: list[str] | None) -> Stage:
        """The pack index of the corpus's `part` for one sequence length and one choice of groups."""
        assert self.tokens is not None
        return self.add(token_stages.pack_stage(self.tokens, part, length, groups, self.recipe.groups))

    def training(self) -> None:
        """Phases, steps, the evaluation of what each of both ends with, export."""
        recipe = self.recipe
        model: Stage | None = None
        models: list[tuple[str, Stage | None, Stage | None]] = []
        trained_on = [
            (phase, self.pack("train", phase.sequence_length, None if phase.mixture is None else sorted(phase.mixture)))
            for phase in recipe.pretrain
        ]
        prepared = {step.name: self._data(step) for step in recipe.posttrain}  # before the hours of training
        held_out = self.pack("holdout", _context(recipe), None) if self.tokens is not None else None
        for phase, packed in trained_on:
            assert self.tokens is not None
            model = self.add(
                pretrain.phase_stage(recipe, phase, self.tokens, packed, model, self.before(model), trained_on)
            )
        models.append(("base", model, None))
        for step in recipe.posttrain:
            rendered, packed = prepared[step.name]
            model = self._step(step, rendered, packed, model)
            models.append((step.name, model, rendered))
        for name, trained, rendered_by in models:
            self._evaluation(name, trained, rendered_by, held_out)
        for name, trained, rendered_by in {"all": models, "last": models[-1:], "none": []}[recipe.export.models]:
            self.add(finish.export_stage(recipe, name, self.tokenizer, trained, rendered_by, self.before(trained)))

    def before(self, model: Stage | None) -> dict[str, Any]:
        """What comes from outside where a model is started from: the base, if there is no stage before."""
        return {} if model else self.origin

    def _data(self, step: Step) -> tuple[Stage, Stage]:
        """The step's records as tokens, and their pack."""
        recipe = self.recipe
        generated = [self.add(posttrain.generate_stage(recipe, d.generate, d.count)) for d in step.data if d.generate]
        rendered = self.add(posttrain.render_stage(step, self.base, self.tokenizer, generated, self.hashes))
        return rendered, self.add(posttrain.pack_step_stage(step, rendered))

    def _step(self, step: Step, rendered: Stage, packed: Stage, before: Stage | None) -> Stage:
        """The training of a step."""
        recipe, origin = self.recipe, self.before(before)
        replay: dict[str, Stage] = {}
        if step.replay and self.tokens is not None:
            replay = {"tokens": self.tokens, "replay": self.pack("train", step.sequence_length, sorted(step.replay))}
        reference = None
        if isinstance(step, DPOSettings):
            reference = self.add(posttrain.reference_stage(recipe, step, rendered, before, origin))
        trained = self.add(posttrain.step_stage(recipe, step, rendered, packed, before, replay, reference, origin))
        if isinstance(step, DPOSettings) and reference is not None:
            self.add(posttrain.preferences_stage(recipe, step, rendered, reference, trained))
        return trained

    def _evaluation(self, name: str, model: Stage | None, rendered: Stage | None, held_out: Stage | None) -> None:
        recipe = self.recipe
        inputs: dict[str, Stage] = {}
        if self.tokens is not None and held_out is not None:
            inputs |= {"tokens": self.tokens, "pack": held_out}
        for task in recipe.evaluate.tasks:
            if task.generate:
                stage = self.add(posttrain.generate_stage(recipe, task.generate, task.count))
                inputs[stage.name] = stage
        if rendered is not None:
            inputs["rendered"] = rendered
        if self.planted is not None:
            inputs["planted"] = self.planted
        files = [self.hashes.of(path) for path in finish.task_files(recipe)]
        external = self.before(model) | ({"tasks": files} if files else {})
        self.add(finish.evaluate_stage(recipe, name, self.tokenizer, model, inputs, external))


def _context(recipe: Recipe) -> int:
    """Tokens that the model sees at most in the evaluation of held-out text."""
    last = [phase.sequence_length for phase in recipe.pretrain] or [step.sequence_length for step in recipe.posttrain]
    return recipe.evaluate.context or last[-1]


def _tokenizer_contents(path: Path | None, hashes: ContentHashes) -> dict[str, Any]:
    """Content hashes of the two files that a tokenizer is read from."""
    if path is None:
        return {}
    file = path / "tokenizer.json" if path.is_dir() else path
    files = (file, file.with_name("tokenizer_config.json"))
    return {found.name: hashes.of(found) for found in files if found.exists()}


def _contents(path: Path | None, hashes: ContentHashes) -> dict[str, Any]:
    """Content hashes of a file or of every file of a folder."""
    if path is None:
        return {}
    files = [path] if path.is_file() else [path / name for name in list_files(path)]
    return {file.name if path.is_file() else file.relative_to(path).as_posix(): hashes.of(file) for file in files}
