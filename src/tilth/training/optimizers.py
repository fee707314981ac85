"""Which optimizer updates which parameter, and its state by parameter name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tilth.base.errors import UserError
from tilth.model import Decoder, mup
from tilth.model.config import DecoderConfig
from tilth.training.muon import Muon
from tilth.training.parallel import World
from tilth.training.partition import Partition, Whole
from tilth.training.settings import MUON_AND_ADAPTER, MUON_AND_MUP, OptimizerSettings, ParameterGroup


class Group(NamedTuple):
    """Parameters that are updated alike: by which optimizer, at which rate, with which decay."""

    muon: bool
    rate: float
    weight_decay: float
    l1: float

    def options(self, parameters: list[Tensor]) -> dict[str, Any]:
        """For an optimizer of torch's."""
        return {"params": parameters, "lr": self.rate, "weight_decay": self.weight_decay}


def grouped(
    names: Mapping[Tensor, str], settings: OptimizerSettings, config: DecoderConfig
) -> dict[Group, list[Tensor]]:
    """The parameters by group. UserError where a group of the settings matches none."""
    found: dict[Group, list[Tensor]] = {}
    idle = {group.parameters for group in settings.groups}
    for parameter, name in names.items():
        own = next((group for group in settings.groups if fnmatchcase(name, group.parameters)), None)
        idle -= {own.parameters} if own is not None else set()
        found.setdefault(_group(parameter, name, settings, own, config), []).append(parameter)
    if idle:
        raise UserError(
            f"optimizer.groups: no parameter is left that {min(idle)!r} matches",
            hint=f"they are called like {', '.join(list(names.values())[:3])}, …",
        )
    return found


def _group(
    parameter: Tensor, name: str, settings: OptimizerSettings, own: ParameterGroup | None, config: DecoderConfig
) -> Group:
    hidden = parameter.ndim == 2 and name.startswith("blocks.")
    muon = hidden and settings.kind == "muon"
    factors = mup.factors(config, name)
    factor = factors.muon if muon else factors.adam
    rate = (settings.muon_learning_rate if muon else settings.learning_rate) * factor * (own.rate if own else 1.0)
    decayed = hidden or name.startswith("head.")
    decay, l1 = (settings.weight_decay, settings.l1) if decayed else (0.0, 0.0)
    if own is not None:
        decay = decay if own.weight_decay is None else own.weight_decay
        l1 = l1 if own.l1 is None else own.l1
    return Group(muon, rate, decay / factor, l1)  # rate times decay is the same at every width (Yang et al., B.3)


@torch.no_grad()
def shrink(parameters: list[Tensor], by: float) -> None:
    """L1, decoupled as weight decay is: absolute values less `by`, 0 at least (the lasso's proximal step)."""
    for parameter in parameters:
        parameter.sub_(parameter.clamp(-by, by))


class Optimizers:
    """All optimizers of a model as one: a step at a multiplier of their rates, and a flat named state.

    AdamW is torch's, fused (Loshchilov and Hutter, 2019). Weight decay falls on the matrices of the layers (or on those
    of their adapters) and on an untied head, not on embeddings, norms and biases. Only what requires a gradient is
    updated and has a state.
    """

    def __init__(
        self,
        model: Decoder,
        settings: OptimizerSettings,
        products: torch.dtype,
        partition: Partition | None = None,
    ) -> None:
        self.settings = settings
        self.partition = partition or Partition(model.parameters(), World())
        self._names: dict[Tensor, str] = {
            parameter: name for name, parameter in model.named_parameters() if parameter.requires_grad
        }
        if settings.kind == "muon" and any(name.endswith(("lora_A", "lora_B")) for name in self._names.values()):
            raise UserError(MUON_AND_ADAPTER)
        if settings.kind == "muon" and settings.muon_scale == "adamw" and model.config.mup is not None:
            raise UserError(MUON_AND_MUP)
        groups = grouped(self._names, settings, model.config)
        self.decays = settings.weight_decay > 0 and any(group.weight_decay for group in groups)
        """Whether there is a decay that another one could stand in proportion to, in any process."""
        self._keys: dict[str, Tensor] = {
            f"{self._names[p]}:{key}": p
            for group, parameters in groups.items()
            for p in parameters
            for key in (("momentum",) if group.muon else ("step", "exp_avg", "exp_avg_sq"))
        }
        """Every state tensor's name in all processes together, and its parameter."""
        mine = {group: [p for p in parameters if self.partition.mine(p)] for group, parameters in groups.items()}
        self._groups = [group for muon in (True, False) for group in mine if group.muon == muon and mine[group]]
        parts = [[group.options(mine[group]) for group in self._groups if group.muon == muon] for muon in (True, False)]
        self.parts: list[torch.optim.Optimizer] = []
        if parts[0]:
            self.parts.append(self._muon(parts[0], products))
        if parts[1]:
            self.parts.append(self._adamw(parts[1]))

    def _muon(self, groups: list[dict[str, Any]], products: torch.dtype) -> Muon:
        settings = self.settings
        half = settings.newton_schulz == "bf16" or (settings.newton_schulz == "auto" and products == torch.bfloat16)
        exact = torch.float64 if products == torch.float64 else torch.float32
        return Muon(
            groups,
            settings.muon_learning_rate,
            momentum=settings.momentum,
            scale=settings.muon_scale,
            dtype=torch.bfloat16 if half else exact,
        )

    def _adamw(self, groups: list[dict[str, Any]]) -> torch.optim.AdamW:
        settings = self.settings
        adamw = torch.optim.AdamW(groups, settings.learning_rate, settings.betas, settings.eps, fused=True)
        for group in adamw.param_groups:
            for p in group["params"]:
                adamw.state[p] = {
                    "step": torch.zeros((), dtype=torch.float32, device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        return adamw

    def step(self, multiplier: float) -> None:
        """Update every parameter at `multiplier` times its group's rate."""
        for group, values in self._together():
            values["lr"] = group.rate * multiplier
        for part in self.parts:
            part.step()
        for group, values in self._together():
            if group.l1:
                shrink(values["params"], values["lr"] * group.l1)
        self.partition.spread()

    def set_weight_decay(self, value: float | None) -> None:
        """Of what is decayed at all, in proportion (`decays` says whether it can be); None: as the settings say."""
        usual = self.settings.weight_decay
        for group, values in self._together():
            given = group.weight_decay
            values["weight_decay"] = given if value is None or not usual else value * (given / usual)

    def _together(self) -> Iterator[tuple[Group, dict[str, Any]]]:
        """Each group, and what its optimizer knows of it."""
        return zip(self._groups, (values for part in self.parts for values in part.param_groups), strict=True)

    @property
    def keys(self) -> set[str]:
        """The names of all state tensors, also of those that other processes keep."""
        return set(self._keys)

    def whole_state(self) -> Whole:
        """The state tensors of all processes."""
        mine, once = self.state(), torch.zeros(())
        return {
            key: (mine.get(key), once if key.endswith(":step") else parameter.detach(), parameter)
            for key, parameter in self._keys.items()
        }

    def state(self) -> dict[str, Tensor]:
        """Every state tensor of this process as `parameter:key`, not copied: filling them restores the state."""
        return {
            f"{self._names[parameter]}:{key}": value
            for part in self.parts
            for parameter, values in part.state.items()
            for key, value in values.items()
        }
