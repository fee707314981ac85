"""Clusters: devices, what they hold and compute, how they are joined, what they cost and how often they fail."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import ConfigDict, Field, model_validator

from tilth.base.errors import nearest
from tilth.base.settings import Settings
from tilth.laws.data_sheets import HALF_PRECISION
from tilth.planning.figures import CURRENCY
from tilth.planning.ranges import Bytes, Currency, Devices, Flops, Hours, Price, Speed


@dataclass(frozen=True)
class Device:
    """An accelerator as its maker describes it: dense half-precision FLOP/s, bytes, bytes a second in one direction."""

    flops: float
    memory: float
    bandwidth: float
    """Of its memory."""
    inside: float
    """To the others of its node."""
    across: float
    """Its share of the node's network."""
    efficiency: float = 0.76
    """Share of `flops` that large matrix products reach in training."""


NEWER = 0.58
"""Efficiency of H100 and what came after it: their products are fast, what feeds them less so."""
DEVICES = {
    "V100-32G": Device(HALF_PRECISION["V100"], 32e9, 0.9e12, 150e9, 12.5e9),
    "A100-40G": Device(HALF_PRECISION["A100"], 40e9, 1.555e12, 300e9, 25e9),
    "A100-80G": Device(HALF_PRECISION["A100"], 80e9, 2.039e12, 300e9, 25e9),
    "A800-80G": Device(HALF_PRECISION["A800"], 80e9, 2.039e12, 200e9, 25e9),
    "H100-80G": Device(HALF_PRECISION["H100"], 80e9, 3.35e12, 450e9, 50e9, NEWER),
    "H800-80G": Device(HALF_PRECISION["H800"], 80e9, 3.35e12, 200e9, 50e9, NEWER),
    "H20-96G": Device(HALF_PRECISION["H20"], 96e9, 4.0e12, 450e9, 50e9),
    "H200-141G": Device(HALF_PRECISION["H200"], 141e9, 4.8e12, 450e9, 50e9, NEWER),
    "B200-180G": Device(HALF_PRECISION["B200"], 180e9, 8.0e12, 900e9, 50e9, NEWER),
    "L40S-48G": Device(HALF_PRECISION["L40S"], 48e9, 0.864e12, 32e9, 12.5e9),
    "RTX4090-24G": Device(HALF_PRECISION["RTX 4090"], 24e9, 1.008e12, 32e9, 3e9),
    "RTX3090-24G": Device(HALF_PRECISION["RTX 3090"], 24e9, 0.936e12, 32e9, 3e9),
}
"""Data sheets; the network is the usual 200 Gb/s (A100) or 400 Gb/s (H100 and later) a device. The efficiencies of A100
and H100 are those with which step_time.py meets published throughputs (its table is in docs/planning.md); the others
are taken from these two: measure your own and say it."""
USUAL_DEVICE = "H100-80G"
"""What is planned for where no device is named."""
MEASURED = ("A100-40G", "A100-80G", "H100-80G")
"""Devices whose efficiency meets published throughputs; of the others it is assumed."""

LLAMA3_HOURS = 16384 * 54 * 24 / 419
"""Device-hours between unexpected interruptions in Llama 3's 54 days on 16,384 H100 (Grattafiori et al. 2024,
section 3.3.4)."""


class Cluster(Settings):
    """What a model is to be trained on. `device` fills in what is not said."""

    model_config = ConfigDict(allow_inf_nan=False)

    devices: Devices = Field(description="how many")
    device: str | None = Field(default=None, description="a name of the list, for example H100-80G")
    per_node: int = Field(default=8, ge=1, le=1024, description="devices of a node")
    memory: Bytes | None = Field(default=None, description="bytes of a device")
    flops: Flops | None = Field(default=None, description="dense half-precision FLOP/s of a device")
    bandwidth: Speed | None = Field(default=None, description="bytes a second of its memory")
    inside: Speed | None = Field(default=None, description="bytes a second to a device of the same node")
    across: Speed | None = Field(default=None, description="bytes a second to a device of another node")
    price_per_hour: Price = Field(default=0.0, description="of one device")
    currency: Currency = Field(default=CURRENCY, description="of the price")
    hours_between_failures: Hours = Field(default=LLAMA3_HOURS, description="of one device")
    storage: Speed = Field(default=2e9, description="bytes a second that a node writes to checkpoints")
    restart_seconds: float = Field(default=300.0, ge=0, le=864000, description="from a failure until training goes on")
    efficiency: float | None = Field(
        default=None, gt=0, le=1, description="share of `flops` that large matrix products reach"
    )

    @model_validator(mode="after")
    def _known(self) -> Cluster:
        if self.device is not None and self.device not in DEVICES:
            raise ValueError(f"no device is called {self.device!r}; {nearest(self.device, DEVICES)}")
        if self.device is None:
            missing = [name for name in ("memory", "flops") if getattr(self, name) is None]
            if missing:
                raise ValueError(f"say {' and '.join(missing)} of a device, or name it: device: A100-80G")
        return self

    @property
    def usual(self) -> Device:
        """The named device as it usually is; without a name, what is assumed where nothing is said."""
        return DEVICES.get(self.device or "", Device(0, 0, 1e12, 32e9, 3e9))

    @property
    def one(self) -> Device:
        """A device, with everything filled in."""
        fields = ("flops", "memory", "bandwidth", "inside", "across", "efficiency")
        return Device(*(float(getattr(self, name) or getattr(self.usual, name)) for name in fields))

    def origin(self, name: str) -> str:
        """Where a figure of a device comes from: `as given`, the data sheet of the named one, or assumed."""
        if getattr(self, name) is not None:
            return "as given"
        if name != "efficiency":
            return f"data sheet of {self.device}" if self.device else "assumed; say it in the cluster's file"
        measured = self.device in MEASURED
        return "met by published throughputs, docs/planning.md" if measured else "assumed after A100 and H100"

    @property
    def nodes(self) -> int:
        """Machines, the last one perhaps not full."""
        return math.ceil(self.devices / self.per_node)

    @property
    def described(self) -> str:
        """`16 x A100-80G (2 nodes of 8)`."""
        name = self.device or f"device of {self.one.memory / 1e9:.4g} GB"
        nodes = f"{self.nodes} nodes of {self.per_node}" if self.nodes > 1 else "1 node"
        return f"{self.devices} x {name} ({nodes})"

    def failures(self, seconds: float) -> float:
        """Expected interruptions in a time: devices x time / hours between failures of one."""
        return self.devices * seconds / 3600 / self.hours_between_failures


def checkpoint_interval(save: float, mean_between: float) -> float:
    """Seconds between checkpoints (Daly 2006, equation 37, whose first term is Young's 1974 sqrt(2 d M)).

    sqrt(2 d M) (1 + sqrt(d / 2M) / 3 + d / 18M) - d for d < 2M, else M; d seconds to save, M between failures.
    """
    if save >= 2 * mean_between:
        return mean_between
    root = math.sqrt(save / (2 * mean_between))
    return math.sqrt(2 * save * mean_between) * (1 + root / 3 + root**2 / 9) - save


def lost_share(save: float, interval: float, mean_between: float, restart: float) -> float:
    """Share of time that saving, repeating half an interval after each failure, and restarting take."""
    return save / (interval + save) + (interval / 2 + restart) / mean_between
