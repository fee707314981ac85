"""Operations that may be spent: given, or those of a cluster at an assumed utilisation; and their time there."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.planning.cluster import Cluster
from tilth.planning.figures import DAY, Figure

UTILISATION = 0.4
"""Share of the devices' peak that training reaches, counted as 6 N D, where nothing else is said."""
REACHED = "LLaMA 1 and 2 reached 38 to 51 % on A100, Llama 3 405B 42 % on H100: docs/planning.md"
COUNTED = "MFU by 6 N D: attention left out, as the laws count; plan layout predicts it for a layout"


@dataclass(frozen=True)
class Budget:
    """Operations that may be spent, and what the cluster that spends them makes of them."""

    flops: float
    formula: str
    cluster: Cluster
    utilisation: float = UTILISATION

    @property
    def speed(self) -> float:
        """FLOP/s of all devices at this utilisation."""
        return self.cluster.devices * self.cluster.one.flops * self.utilisation

    @property
    def price_per_flop(self) -> float:
        """0 where no price is given."""
        return self.cluster.price_per_hour / 3600 / (self.cluster.one.flops * self.utilisation)

    def assumed(self) -> Figure:
        """The utilisation, with what is counted and how it is known."""
        source = f"assumed ({REACHED})" if self.utilisation == UTILISATION else "as given"
        return Figure("utilisation", self.utilisation, "share", COUNTED, source)

    def said(self) -> tuple[str, ...]:
        """A note, where the utilisation is assumed."""
        if self.utilisation != UTILISATION:
            return ()
        return (f"{UTILISATION:.0%} of the peak is assumed, counted as 6 N D: {REACHED}; plan layout predicts yours",)

    def time(self, name: str, flops: float) -> Figure:
        """How long the cluster is busy with `flops`."""
        formula = f"{flops:.4g} FLOP / ({self.cluster.devices} x {self.cluster.one.flops:.4g} FLOP/s x "
        formula += f"{self.utilisation:.0%})"
        return Figure(name, flops / self.speed, "s", formula, f"{self.cluster.described} without failures")

    def cost(self, name: str, flops: float, source: str = "price of a device-hour as given") -> Figure:
        """Of `flops`."""
        formula = f"{flops:.4g} FLOP / ({self.cluster.one.flops:.4g} FLOP/s x {self.utilisation:.0%}) / 3600 x "
        formula += f"{self.cluster.price_per_hour:g}"
        return Figure(name, flops * self.price_per_flop, "(price)", formula, source)


def budget_of(cluster: Cluster, days: float, utilisation: float = UTILISATION) -> Budget:
    """A cluster's operations in some days."""
    flops = cluster.devices * cluster.one.flops * utilisation * days * DAY
    formula = f"{cluster.devices} x {cluster.one.flops:.4g} FLOP/s x {utilisation:.0%} x {days:g} days"
    return Budget(flops, formula, cluster, utilisation)


def budget_given(flops: float, cluster: Cluster, utilisation: float = UTILISATION) -> Budget:
    """Operations that are given, to be spent on a cluster."""
    return Budget(flops, f"{flops:.4g}, as given", cluster, utilisation)
