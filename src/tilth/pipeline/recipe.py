"""The recipe: one file that holds everything that shapes the result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from tilth.base.errors import UserError
from tilth.base.settings import Lines, Settings, load_yaml, named, override, validate
from tilth.corpus.settings import CorpusSettings
from tilth.evaluation.settings import EvaluateSettings
from tilth.model.config import ModelSettings
from tilth.posttrain.settings import StepSettings
from tilth.synthesis.settings import GrammarSettings
from tilth.tokens.settings import TokenizerSettings
from tilth.training.settings import ComputeSettings, OptimizerSettings, PhaseSettings


class ExportSettings(Settings):
    """Hugging Face folders of the trained models."""

    models: Literal["all", "last", "none"] = Field(
        "all", description="what pre-training and each step ended with, for comparison; the last alone; or none"
    )
    dtype: Literal["fp32", "bf16"] = Field("fp32", description="of the stored weights")


RunName = Annotated[
    str, named(r"\w[^/\\:*?\"<>|]*", "a folder's name: a letter, digit or _ first, and none of / \\ : * ? \" < > |")
]


class Recipe(Settings):
    """Every section of a recipe; one that is left out takes its defaults."""

    name: RunName = Field(description="the run's folder; default: the file's name")
    seed: int = 0
    base: Path | None = Field(None, description="a Hugging Face folder to continue from, instead of a new model")
    synthesize: tuple[GrammarSettings, ...] = ()
    corpus: CorpusSettings = CorpusSettings()
    groups: dict[str, str] = Field(
        {}, description="name: condition over the document table; every domain is a group too"
    )
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = ModelSettings()
    optimizer: OptimizerSettings = Field(OptimizerSettings(), description="of every phase that does not set its own")
    pretrain: tuple[PhaseSettings, ...] = ()
    posttrain: tuple[StepSettings, ...] = ()
    evaluate: EvaluateSettings = EvaluateSettings()
    export: ExportSettings = ExportSettings()
    compute: ComputeSettings = ComputeSettings()

    @model_validator(mode="before")
    @classmethod
    def _one_optimizer(cls, data: Any) -> Any:
        """Phases without an optimizer take the recipe's."""
        if isinstance(data, dict) and data.get("optimizer") and isinstance(data.get("pretrain"), list):
            phases = [{"optimizer": data["optimizer"], **p} if isinstance(p, dict) else p for p in data["pretrain"]]
            data = {**data, "pretrain": phases}
        return data

    @field_validator("synthesize")
    @classmethod
    def _each_kind_once(cls, grammars: tuple[GrammarSettings, ...]) -> tuple[GrammarSettings, ...]:
        kinds = [grammar.kind for grammar in grammars]
        if len(set(kinds)) < len(kinds):
            raise ValueError("a kind stands twice; give it once, with the documents of both")
        return grammars

    @field_validator("pretrain", "posttrain")
    @classmethod
    def _own_names(cls, phases: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [phase.name for phase in phases]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two are called {name!r}; the name is the artifact's")
        return phases

    @model_validator(mode="after")
    def _something_to_tune(self) -> Recipe:
        if self.posttrain and not self.pretrain and self.base is None:
            raise ValueError("posttrain goes on from a model: give pretrain phases, or a base")
        names = ["base", *(phase.name for phase in self.pretrain), *(step.name for step in self.posttrain)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two models would be called {name!r}: the phases, the steps and the base have names")
        return self

    @model_validator(mode="after")
    def _something_to_read(self) -> Recipe:
        if not self.corpus.sources and not self.synthesize and (self.pretrain or not self.posttrain):
            raise ValueError("neither corpus.sources nor synthesize gives any text")
        return self


def load_recipe(path: Path, assignments: list[str] | None = None) -> Recipe:
    """Read a recipe, apply `KEY=VALUE` assignments, check it. Its paths are relative to its folder."""
    data, lines = load_yaml(path)
    if not isinstance(data, dict):
        raise UserError("a recipe is a mapping of sections", where=f"{path}:1", hint="see recipes/quickstart.yaml")
    data.setdefault("name", path.stem)
    override(data, assignments or [], lines)
    recipe = validate(Recipe, data, source=str(path), lines=lines)
    with placed(path, assignments or []):
        return _absolute(recipe, path.resolve().parent)


@contextlib.contextmanager
def placed(path: Path, assignments: list[str]) -> Iterator[None]:
    """In the block, a mistake whose place is a setting of the recipe at `path` (`corpus.sources.0`) is told with the
    line that sets it, or with the assignment; one without a place is the file's.
    """
    try:
        yield
    except UserError as error:
        data, lines = load_yaml(path)
        override(data, assignments, lines)
        if error.where is None:
            raise error.at(str(path)) from None
        raise with_line(error, data, lines, path) from None


def with_line(error: UserError, data: Any, lines: Lines, path: Path) -> UserError:
    """The same mistake, told with what sets the setting that is its place; as it is where that is no setting."""
    keys = _setting_keys(data, error.where or "")
    if not keys:
        return error
    return error.within(lines.where(keys, str(path)))


def _setting_keys(data: Any, dotted: str) -> tuple[str | int, ...]:
    """The path of a setting, items of lists by number or name, as far as the recipe spells it out; empty for what is no
    setting."""
    keys: tuple[str | int, ...] = ()
    for part in dotted.split(".") if dotted.partition(".")[0] in Recipe.model_fields else ():
        if isinstance(data, list):
            names = [item.get("name") if isinstance(item, dict) else None for item in data]
            at = names.index(part) if part in names else int(part) if part.isdigit() else len(data)
            if at >= len(data):
                break
            keys, data = (*keys, at), data[at]
        elif isinstance(data, dict) and part in data:
            keys, data = (*keys, part), data[part]
        else:
            return keys or (part,)
    return keys


def _absolute(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with its paths made absolute, so that the kept recipe can be run from anywhere.

    Paths never enter a fingerprint: sources are known by their content.
    """
    corpus = recipe.corpus
    sources = [source.model_copy(update={"path": anchored(source.path, folder)}) for source in corpus.sources]
    against = [anchored(path, folder) for path in corpus.decontaminate.against]
    decontaminate = corpus.decontaminate.model_copy(update={"against": against})
    updates: dict[str, Any] = {"corpus": corpus.model_copy(update={"sources": sources, "decontaminate": decontaminate})}
    updates["posttrain"] = tuple(_anchored_data(step, folder) for step in recipe.posttrain)
    tasks = [t.model_copy(update={"path": anchored(t.path, folder)}) if t.path else t for t in recipe.evaluate.tasks]
    updates["evaluate"] = recipe.evaluate.model_copy(update={"tasks": tuple(tasks)})
    if recipe.base is not None:
        updates["base"] = _existing(folder / recipe.base.expanduser(), "base")
    if recipe.tokenizer.load is not None:
        load = _existing(folder / recipe.tokenizer.load.expanduser(), "tokenizer.load")
        updates["tokenizer"] = recipe.tokenizer.model_copy(update={"load": load})
    return recipe.model_copy(update=updates)


def _anchored_data(step: Any, folder: Path) -> Any:
    """A step whose data's paths are absolute."""
    data = [d.model_copy(update={"path": anchored(d.path, folder)}) if d.path else d for d in step.data]
    return step.model_copy(update={"data": tuple(data)})


def anchored(path: str, folder: Path) -> str:
    """A path or glob seen from `folder`; `{python}` stands for an absolute path, and so does `~`."""
    return path if path.startswith("{python}") else os.path.normpath(folder / os.path.expanduser(path))


def _existing(path: Path, field: str) -> Path:
    if not path.exists():
        raise UserError(f"there is nothing at {path}", where=field, hint="paths are relative to the recipe's folder")
    return path


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, defaults filled in."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), allow_unicode=True, sort_keys=False, width=120)
