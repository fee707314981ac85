"""From a recipe to its stages, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.base.files import ContentHashes, list_files
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stage import Stage
from tilth.pipeline.stages import corpus as corpus_stages
from tilth.pipeline.stages import finish, pretrain
from tilth.pipeline.stages import tokens as token_stages


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
    stages: list[Stage] = []

    def add(stage: Stage) -> Stage:
        stages.append(stage)
        return stage

    synthesized = add(corpus_stages.synthesize_stage(recipe)) if recipe.synthesize else None
    measured = add(corpus_stages.measure_stage(recipe, base, synthesized, hashes))
    corpus = add(corpus_stages.corpus_stage(recipe, base, measured, hashes))
    tokenizer = add(token_stages.tokenizer_stage(recipe, corpus, _contents(recipe.tokenizer.load, hashes)))
    tokens = add(token_stages.tokens_stage(corpus, tokenizer))
    if recipe.pretrain:
        _training(recipe, tokens, tokenizer, add, hashes)
    return Graph(tuple(stages), hashes)


def _training(recipe: Recipe, tokens: Stage, tokenizer: Stage, add: Any, hashes: ContentHashes) -> None:
    packs: dict[str, Stage] = {}

    def pack(part: str, length: int, groups: list[str] | None) -> Stage:
        stage = token_stages.pack_stage(tokens, part, length, groups, recipe.groups)
        if stage.folder not in packs:
            packs[stage.folder] = add(stage)
        return packs[stage.folder]

    trained_on = []
    for phase in recipe.pretrain:
        groups = None if phase.mixture is None else sorted(phase.mixture)
        trained_on.append((phase, pack("train", phase.sequence_length, groups)))
    held_out = pack("holdout", recipe.evaluate.context or recipe.pretrain[-1].sequence_length, None)
    base = _contents(recipe.base, hashes)
    model: Stage | None = None
    for phase, packed in trained_on:
        model = add(pretrain.phase_stage(recipe, phase, tokens, packed, model, {} if model else base, trained_on))
    assert model is not None
    add(finish.evaluate_stage(recipe, tokens, held_out, model))
    add(finish.export_stage(tokenizer, model))


def _contents(path: Path | None, hashes: ContentHashes) -> dict[str, Any]:
    """Content hashes of a file or of every file of a folder."""
    if path is None:
        return {}
    files = [path] if path.is_file() else [path / name for name in list_files(path)]
    return {file.name if path.is_file() else file.relative_to(path).as_posix(): hashes.of(file) for file in files}
