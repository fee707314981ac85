"""What a law is to the fit: its columns, its parameters, log loss with an analytic Jacobian, and where to start."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.fitting.data import RowError, first_row

Array = np.ndarray[Any, np.dtype[np.float64]]
Columns = Mapping[str, Array]


class Law(ABC):
    """A family of curves. theta (P, k) are P sets of its k inner parameters, in which it is smooth and unbounded-ish.

    Users see `names`: the parameters as papers print them, made of theta by `outer`.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    columns: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    inner_names: tuple[str, ...] = ()
    counts_parameters: ClassVar[bool] = False
    """Whether a column is N, so that a prediction must count it as the points did."""
    scale_column: ClassVar[str | None] = None
    """The column along which extrapolation is tested: the largest runs are predicted from the others."""

    @abstractmethod
    def log_loss(self, theta: Array, columns: Columns) -> tuple[Array, Array]:
        """Log loss (P, n) and its Jacobian in theta (P, n, k)."""

    @abstractmethod
    def starts(self, columns: Columns, loss: Array) -> Array:
        """A grid of starting thetas (S, k), evaluated all together; in units of the data, so that no unit matters."""

    @abstractmethod
    def bounds(self, columns: Columns, loss: Array) -> tuple[Array, Array]:
        """Lowest and highest theta (k,)."""

    @abstractmethod
    def outer(self, theta: Array) -> Array:
        """The printed parameters (P, len(names))."""

    @abstractmethod
    def inner(self, parameters: Mapping[str, float]) -> Array:
        """theta (k,) of printed parameters."""

    def scale(self, columns: Columns) -> Array:
        """How large each run is, for the test by extrapolation."""
        assert self.scale_column is not None
        return columns[self.scale_column]

    def check(self, columns: Columns) -> None:
        """Refuse columns that the law cannot read."""
        for name in self.columns:
            if name not in columns:
                raise UserError(f"the {self.name} law needs a column {name!r}; there are {', '.join(columns)}")
            self.check_column(name, columns[name])

    def check_column(self, name: str, values: Array) -> None:
        """Sizes, tokens and compute must be above 0 (their logarithm is taken)."""
        if (at := first_row(values <= 0)) is not None:
            raise RowError(at, f"{name!r} is {values[at]:g}: it must be above 0")

    @staticmethod
    def check_share(name: str, values: Array) -> None:
        """Shares are between 0 and 1."""
        if (at := first_row((values < 0) | (values > 1))) is not None:
            raise RowError(at, f"{name!r} is {values[at]:g}: a share is between 0 and 1")

    def predict(self, parameters: Mapping[str, float], **columns: Any) -> Array:
        """Loss at given columns with given (say, published) parameters."""
        arrays = {name: np.atleast_1d(np.asarray(values, dtype=float)) for name, values in columns.items()}
        self.check(arrays)
        return np.asarray(np.exp(self.log_loss(self.inner(parameters)[None], arrays)[0][0]))


def log_sum(terms: Array) -> tuple[Array, Array]:
    """log of a sum of exponentials over the first axis (m, P, n), and each term's share of the sum."""
    top = terms.max(0)
    shares = np.exp(terms - top)
    total = shares.sum(0)
    return top + np.log(total), shares / total


def grid(*axes: Any) -> Array:
    """Every combination of the axes' values, one a row."""
    return np.stack(np.meshgrid(*[np.asarray(axis, dtype=float) for axis in axes], indexing="ij"), -1).reshape(
        -1, len(axes)
    )
