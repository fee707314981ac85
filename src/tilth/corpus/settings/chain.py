"""The whole section: sources, the order of the steps, and the settings of each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from tilth.base.expression import Where
from tilth.base.settings import Settings
from tilth.corpus.rules import RuleSet
from tilth.corpus.settings.apart import CanarySettings, DecontaminateSettings, HoldoutSettings
from tilth.corpus.settings.duplicates import NearSettings, PassagesSettings, SubstringSettings, SurvivorSettings
from tilth.corpus.settings.sources import SourceSettings, as_list
from tilth.corpus.settings.texts import (
    KeywordsSettings,
    LinesSettings,
    MarkupSettings,
    MaskSettings,
    RepairSettings,
    SplitSettings,
    SymbolsSettings,
)

StepName = Literal[
    "repair",
    "lines",
    "split",
    "measure",
    "exact",
    "rules",
    "holdout",
    "near",
    "passages",
    "substring",
    "mask",
    "decontaminate",
    "keywords",
    "symbols",
    "markup",
]

DEFAULT_STEPS: tuple[StepName, ...] = (
    "repair",
    "lines",
    "measure",
    "rules",
    "exact",
    "holdout",
    "near",
    "mask",
    "decontaminate",
)


class MeasureSettings(Settings):
    """Which columns to measure."""

    language: Literal["missing", "always", "never"] = "missing"
    """Identify the language of documents whose source names none, of all, or of none."""


class RepeatSettings(Settings):
    """How often documents are seen in an epoch."""

    where: Where
    """A condition over document columns and signals, for example `domain == "wikipedia"`."""
    times: float = Field(ge=0)
    """0 removes; 2 repeats; 0.3 keeps 30 % of the documents, 1.5 repeats half of them (chosen by a keyed hash)."""


class CorpusSettings(Settings):
    """Sources and the chain of steps that turns them into a corpus."""

    sources: Annotated[list[SourceSettings], BeforeValidator(as_list)] = []
    steps: list[StepName] = list(DEFAULT_STEPS)
    """The order of the chain; a step that is not named is not run, `measure` may be named again after an edit."""
    repair: RepairSettings = RepairSettings()
    lines: LinesSettings = LinesSettings()
    split: SplitSettings = SplitSettings()
    measure: MeasureSettings = MeasureSettings()
    rules: list[RuleSet] = []
    survivor: SurvivorSettings = SurvivorSettings()
    """`first`, `longest`, `{highest: COLUMN}` or `{lowest: COLUMN}`; the hold-out's stays whatever this says."""
    holdout: HoldoutSettings = HoldoutSettings()
    near: NearSettings = NearSettings()
    passages: PassagesSettings = PassagesSettings()
    substring: SubstringSettings = SubstringSettings()
    mask: MaskSettings = MaskSettings()
    decontaminate: DecontaminateSettings = DecontaminateSettings()
    keywords: KeywordsSettings = KeywordsSettings()
    symbols: SymbolsSettings = SymbolsSettings()
    markup: MarkupSettings = MarkupSettings()
    repeat: list[RepeatSettings] = []
    """The first entry whose condition holds counts; documents that none names are seen once."""
    canaries: CanarySettings = CanarySettings()

    @field_validator(
        "repair", "lines", "split", "measure", "rules", "survivor", "holdout", "near", "passages", "substring", "mask",
        "decontaminate", "keywords", "symbols", "markup",
    )  # fmt: skip
    @classmethod
    def _has_its_step(cls, value: object, info: ValidationInfo) -> object:
        """A section with all its defaults written out, as in the recipe of a run folder, is not refused."""
        name = str(info.field_name)
        in_part = isinstance(value, Settings) and 0 < len(value.model_fields_set) < len(type(value).model_fields)
        given = in_part or value != cls.model_fields[name].default
        off = isinstance(value, HoldoutSettings) and value.off
        its_steps = ("exact", "near") if name == "survivor" else (name,)
        if given and not off and not set(its_steps) & set(info.data.get("steps", its_steps)):
            known = " or ".join(map(repr, its_steps))
            raise ValueError(f"the chain has no step {known}; add it to `steps`, or leave this out")
        return value

    @field_validator("decontaminate")
    @classmethod
    def _has_benchmarks(cls, value: DecontaminateSettings) -> DecontaminateSettings:
        """Settings without an effect are refused; defaults written out, as in the recipe of a run folder, are not."""
        others = set(DecontaminateSettings.model_fields) - {"against"}
        if not value.against and (value.changed(*others) or value.model_fields_set == {"against"}):
            raise ValueError("there is nothing to look for; give `against` benchmark files, or leave this out")
        return value
