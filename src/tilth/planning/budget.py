"""Operations that may be spent: given, or those of a cluster at a utilisation; and their time and price there."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.laws.flops import Sizes
from tilth.planning.cluster import Cluster
from tilth.planning.figures import DAY, Figure

UTILISATION = 0.4
"""Share of the devices' peak that training reaches, counted as 6 N D, where nothing else is said."""
SERVING_UTILISATION = 0.03
"""Share that serving reaches, counted as 2 N a token read or written, where nothing else is said."""
REACHED = "LLaMA 1 and 2 reached 38 to 51 % on A100, Llama 3 405B 42 % on H100: docs/planning.md"
COUNTED = "MFU by 6 N D: attention left out, as the laws count; plan layout predicts it for a layout"
SERVED = "by 2 N a token read or written: small batches wait for memory, not for products"


@dataclass(frozen=True)
class Utilisation:
    """A share of the devices' peak, and how it is known."""

    share: float
    source: str = "as given"
    assumed: bool = False
    """Whether nothing was said that it follows from."""


TRAINING = Utilisation(UTILISATION, f"assumed ({REACHED})", assumed=True)
SERVING = Utilisation(SERVING_UTILISATION, "assumed: measure yours", assumed=True)


def training_utilisation(cluster: Cluster, given: float | None = None) -> Utilisation:
    """What is given; else, of a cluster that says how much its products reach, as much less or more; else assumed."""
    if given is not None:
        return Utilisation(given)
    if cluster.efficiency is None:
        return TRAINING
    usual = cluster.usual.efficiency
    formula = f"{UTILISATION:.0%} x {cluster.efficiency:g} / {usual:g}"
    source = f"{formula}: the cluster's own efficiency, against the {usual:g} of devices that reach {UTILISATION:.0%}"
    return Utilisation(min(1.0, UTILISATION * cluster.efficiency / usual), source)


def serving_utilisation(given: float | None = None) -> Utilisation:
    """What is given, else assumed."""
    return SERVING if given is None else Utilisation(given)


@dataclass(frozen=True)
class Budget:
    """Operations that may be spent, and what the cluster that spends them makes of them."""

    flops: float
    formula: str
    cluster: Cluster
    utilisation: Utilisation = TRAINING
    serving: Utilisation = SERVING

    @property
    def speed(self) -> float:
        """FLOP/s of all devices in training."""
        return self.cluster.devices * self.cluster.one.flops * self.utilisation.share

    @property
    def serving_weight(self) -> float:
        """How many times as long a device takes for an operation of serving as for one of training."""
        return self.utilisation.share / self.serving.share

    def device_hours(self, flops: Sizes, *, serving: bool = False) -> Sizes:
        """Of operations of training or of serving, each at its utilisation."""
        share = self.serving.share if serving else self.utilisation.share
        return flops / (self.cluster.one.flops * share) / 3600

    def price(self, flops: float, *, serving: bool = False) -> float:
        """Of operations of training or of serving; 0 where no price is given."""
        return self.device_hours(flops, serving=serving) * self.cluster.price_per_hour

    def assumed(self) -> Figure:
        """The utilisation, with what is counted and how it is known."""
        return Figure("utilisation", self.utilisation.share, "share", COUNTED, self.utilisation.source)

    def served(self) -> Figure:
        """The utilisation of serving, alike."""
        return Figure("serving utilisation", self.serving.share, "share", SERVED, self.serving.source)

    @property
    def currency(self) -> dict[str, str]:
        """For machines, which see no heads of columns; empty where no price is given."""
        return {"currency": self.cluster.currency} if self.cluster.price_per_hour else {}

    def said(self) -> tuple[str, ...]:
        """A note, where the utilisation is assumed."""
        if not self.utilisation.assumed:
            return ()
        return (f"{UTILISATION:.0%} of the peak is assumed, counted as 6 N D: {REACHED}; plan layout predicts yours",)

    def time(self, name: str, flops: float) -> Figure:
        """How long the cluster is busy with `flops` of training."""
        formula = f"{flops:.4g} FLOP / ({self.cluster.devices} x {self.cluster.one.flops:.4g} FLOP/s x "
        formula += f"{self.utilisation.share:.4g})"
        return Figure(name, flops / self.speed, "s", formula, f"{self.cluster.described} without failures")

    def cost(self, name: str, flops: float, *, serving: bool = False) -> Figure:
        """Of `flops`."""
        share = self.serving.share if serving else self.utilisation.share
        formula = f"{flops:.4g} FLOP / ({self.cluster.one.flops:.4g} FLOP/s x {share:.4g}) / 3600 x "
        formula += f"{self.cluster.price_per_hour:g} {self.cluster.currency}"
        source = f"price of a device-hour as given; {'serving utilisation' if serving else 'utilisation'}: see there"
        return Figure(name, self.price(flops, serving=serving), self.cluster.currency, formula, source)


def budget_of(cluster: Cluster, days: float, utilisation: Utilisation = TRAINING) -> Budget:
    """A cluster's operations in some days."""
    flops = cluster.devices * cluster.one.flops * utilisation.share * days * DAY
    formula = f"{cluster.devices} x {cluster.one.flops:.4g} FLOP/s x {utilisation.share:.4g} x {days:g} days"
    return Budget(flops, formula, cluster, utilisation)


def budget_given(flops: float, cluster: Cluster, utilisation: Utilisation = TRAINING) -> Budget:
    """Operations that are given, to be spent on a cluster."""
    return Budget(flops, f"{flops:.4g}, as given", cluster, utilisation)
