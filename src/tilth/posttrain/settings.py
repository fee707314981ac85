"""The recipe's `posttrain:` section: steps behind pre-training, each going on from the one before. No torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tilth.base.settings import Count, GivenOrGenerated, Name, PathText, Settings
from tilth.model.adapters.settings import AdapterSettings
from tilth.training.settings import (
    MUON_AND_ADAPTER,
    OptimizerSettings,
    PhaseSettings,
    PositiveCount,
    ScheduleSettings,
)

Generated = Literal["conversations", "preferences"]


class DataSettings(GivenOrGenerated):
    """Files of records (`path`: a file, folder or glob), or what the built-in grammars write (`generate`)."""

    counted = "records"

    path: PathText | None = Field(None, description="JSON Lines (also .zst and .gz) or Parquet")
    generate: Generated | None = None
    count: Count = Field(10_000, ge=1, description="records to generate, the languages in turn")


class _StepSettings(Settings):
    """What every step has."""

    name: Name = Field(description="the step's artifact and model")
    data: tuple[DataSettings, ...] = Field(min_length=1)
    template: str | None = Field(
        None, description="tilth, chatml, llama3 or colossal; default: the first whose tokens the tokenizer has"
    )
    epochs: float | None = Field(None, gt=0, description="how often all data is read; default 1")
    tokens: PositiveCount | None = Field(None, description="or the tokens to train on, replay included")
    replay: dict[str, float] = Field(
        {}, description="share of the sequences for each group of the pre-training text, against forgetting"
    )
    sequence_length: int = Field(1024, ge=2, description="tokens of a packed sequence; what is longer is cut by turns")
    batch_sequences: int = Field(16, ge=1, description="sequences of a step")
    micro_batch: int | None = Field(None, ge=1, description="sequences of one forward; default 8,192 tokens' worth")
    schedule: ScheduleSettings = ScheduleSettings(shape="linear", end=0.0)
    gradient_clip: float | None = Field(1.0, gt=0)
    adapter: AdapterSettings | None = Field(None, description="LoRA: train low-rank matrices beside frozen weights")
    embedding_noise: float = Field(0.0, ge=0, description="NEFTune's alpha")
    precision: Literal["auto", "bf16", "fp32", "fp64"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"

    @field_validator("optimizer", "schedule", mode="before", check_fields=False)
    @classmethod
    def _beside_the_defaults(cls, given: Any, info: ValidationInfo) -> Any:
        """What a step gives of these sections stands beside the step's own defaults, not instead of them."""
        if not isinstance(given, dict) or info.field_name is None:
            return given
        default = cls.model_fields[info.field_name].default.model_dump(exclude_unset=True)
        if given.get("kind", default.get("kind")) != default.get("kind"):
            missing = [name for name in ("learning_rate", "muon_learning_rate") if name not in given]
            if missing:
                raise ValueError(f"kind: {given['kind']} needs {' and '.join(missing)}: the defaults are AdamW's")
        return default | given

    @model_validator(mode="after")
    def _trainable(self) -> _StepSettings:
        if self.adapter is not None and getattr(self, "optimizer").kind == "muon":  # noqa: B009 - of the subclasses
            raise ValueError(MUON_AND_ADAPTER)
        generated = [data.generate for data in self.data if data.generate]
        if len(set(generated)) < len(generated):
            raise ValueError("the same records would be generated twice; give one entry with the larger count")
        return self

    @model_validator(mode="after")
    def _one_length(self) -> _StepSettings:
        if self.epochs is not None and self.tokens is not None:
            raise ValueError("give epochs or tokens, not both")
        return self

    @field_validator("replay")
    @classmethod
    def _shares(cls, replay: dict[str, float]) -> dict[str, float]:
        if any(share < 0 for share in replay.values()) or sum(replay.values()) >= 1:
            raise ValueError("the shares of replay are at least 0 and together less than 1")
        return {name: share for name, share in replay.items() if share}

    def shaping(self) -> dict[str, Any]:
        """The settings that shape the training, as plain JSON values; data and template shape its inputs."""
        return {name: value for name, value in self.canonical().items() if name not in ("data", "template")}


class SFTSettings(_StepSettings):
    """Supervised fine-tuning: next-token loss on what the assistant says."""

    kind: Literal["sft"] = "sft"
    optimizer: OptimizerSettings = OptimizerSettings(kind="adamw", learning_rate=1e-5)


class DPOSettings(_StepSettings):
    """Direct preference optimisation (Rafailov et al. 2023), with the chosen answers' NLL beside it."""

    kind: Literal["dpo"] = "dpo"
    beta: float = Field(0.1, gt=0, description="how far the model may leave the one that it starts from")
    nll: float = Field(0.2, ge=0, description="coefficient of the chosen answers' loss a token; 0: plain DPO")
    loss_type: Literal["sigmoid", "ipo"] = Field("sigmoid", description="DPO's own, or identity preferences")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="share of pairs thought to be the wrong way round")
    positive: float = Field(0.0, ge=0, description="DPO-Positive: what a fall of the chosen answer costs")
    replay_weight: float = Field(1.0, ge=0, description="coefficient of the replayed text's loss a token")
    optimizer: OptimizerSettings = OptimizerSettings(kind="adamw", learning_rate=1e-6)

    @model_validator(mode="after")
    def _of_use(self) -> DPOSettings:
        if self.loss_type == "ipo" and self.label_smoothing:
            raise ValueError("label_smoothing does nothing with loss_type: ipo")
        if "replay_weight" in self.model_fields_set and not self.replay:
            raise ValueError("replay_weight does nothing without replay")
        return self

    def objective(self) -> dict[str, Any]:
        """The arguments of `posttrain.dpo.DPO` but for the reference."""
        shared = {name: getattr(self, name) for name in ("beta", "nll", "loss_type", "label_smoothing", "positive")}
        return {**shared, "replay": self.replay_weight}


StepSettings = Annotated[SFTSettings | DPOSettings, Field(discriminator="kind")]


def phase_of(step: SFTSettings | DPOSettings, groups: dict[str, int]) -> PhaseSettings:
    """The phase that trains a step: `groups` are the sequences of each of its data's groups.

    The shares of replay are taken off the whole; the data's groups share the rest by size.
    """
    left, total = 1 - sum(step.replay.values()), sum(groups.values())
    mixture = {name: left * size / total for name, size in groups.items()}
    mixture |= {REPLAY + name: share for name, share in step.replay.items()}
    tokens = step.tokens or round((step.epochs or 1.0) * total / left) * step.sequence_length
    shared = {name: getattr(step, name) for name in _SHARED}
    return PhaseSettings(tokens=max(1, tokens), mixture=mixture or None, max_epochs=1e9, **shared)


REPLAY = "replay/"
"""In front of the names of groups that are replayed."""
_SHARED = ("name", "sequence_length", "batch_sequences", "micro_batch", "schedule", "optimizer", "gradient_clip",
           "precision", "compile")  # fmt: skip
