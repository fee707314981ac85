"""One way to fit every law: `fit(law, points)`.

law      what a law is: columns, parameters, log loss with its Jacobian, starts
data     the points (runs) that it is fitted on
solver   many small robust problems at once
estimate screened starts, solution, bootstrap, held-out error, warnings
result   parameters, intervals, predictions, and what makes them guesses
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.base.lazy import lazy

if TYPE_CHECKING:
    from tilth.laws.fitting.data import Points, points
    from tilth.laws.fitting.estimate import Settings, fit
    from tilth.laws.fitting.law import Law
    from tilth.laws.fitting.result import Fit, HeldOut, Prediction

__all__ = ["Fit", "HeldOut", "Law", "Points", "Prediction", "Settings", "fit", "points"]
__getattr__ = lazy(
    __name__,
    {
        "estimate": "Settings fit",
        "law": "Law",
        "data": "Points points",
        "result": "Fit HeldOut Prediction",
    },
)
