"""Losses as functions of the mixture of domains.

mixtures   runs on different mixtures, checked
forms      mixing laws: exponential, implicit domains, effective shares
gaussian   Gaussian-process regression
models     laws, processes and trees with one face
ensemble   several of them, weighed by cross-validation inside the runs
nested     step and size laws, to predict what large runs would reach
critical   the share of the old corpus that keeps what was known
optimise   the best mixture
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.base.lazy import lazy

if TYPE_CHECKING:
    from tilth.laws.mixing.critical import Critical, critical_ratio
    from tilth.laws.mixing.ensemble import Ensemble, fit_ensemble, leave_one_out
    from tilth.laws.mixing.forms import Form, fit_form
    from tilth.laws.mixing.mixtures import Mixtures
    from tilth.laws.mixing.nested import TiedPower, fit_tied_power
    from tilth.laws.mixing.optimise import Best, best_mixture

__all__ = [
    "Best",
    "Critical",
    "Ensemble",
    "Form",
    "Mixtures",
    "TiedPower",
    "best_mixture",
    "critical_ratio",
    "fit_ensemble",
    "fit_form",
    "fit_tied_power",
    "leave_one_out",
]
__getattr__ = lazy(
    __name__,
    {
        "critical": "Critical critical_ratio",
        "ensemble": "Ensemble fit_ensemble leave_one_out",
        "forms": "Form fit_form",
        "mixtures": "Mixtures",
        "nested": "TiedPower fit_tied_power",
        "optimise": "Best best_mixture",
    },
)
