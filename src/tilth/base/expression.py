"""Small conditions over table columns: `domain == "zh_law" and tokens > 200`, checked before they run."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator

from tilth.base.errors import UserError, nearest

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda column, values: np.isin(column, list(values)),
    ast.NotIn: lambda column, values: ~np.isin(column, list(values)),
}


def check_condition(text: str) -> str:
    """For settings: the text itself, if it is a condition. Raises `ValueError`, which pydantic knows how to place."""
    try:
        Condition(text)
    except UserError as error:
        raise ValueError(str(error)) from None
    return text


Where = Annotated[str, AfterValidator(check_condition)]
"""For settings: a condition."""


class Condition:
    """A condition over named columns; `signal.NAME` is written as it is.

    Allowed: names, numbers, strings, lists of them, comparisons (chained too), `in`, `and`, `or`, `not`.
    Anything else is refused when the condition is built.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else error
            raise UserError(f"not a condition: {text!r} ({reason})", hint="for example language == 'zh'") from None
        names: set[str] = set()
        self._check(self._tree, names)
        self.names = sorted(names)

    def __call__(self, columns: Mapping[str, np.ndarray], rows: int | None = None) -> np.ndarray:
        """A boolean array; every column that the condition names must be in `columns`, all of one length.

        `rows` is that length; without it, the length of the first column. Raises `UserError` where a column is not
        there or cannot be compared with what it is compared with.
        """
        for name in self.names:
            if name not in columns:
                raise UserError(f"{self.text!r}: there is no column {name!r}", hint=nearest(name, columns))
        if rows is None:
            rows = len(next(iter(columns.values()))) if columns else 0
        try:
            return np.broadcast_to(np.asarray(self._value(self._tree, columns), dtype=bool), (rows,))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{self.text!r} compares what cannot be compared: {error}",
                hint="strings stand in quotes, numbers do not",
            ) from None

    def try_on(self, row: Mapping[str, str | float]) -> None:
        """Raise `UserError` where the condition cannot be asked of a row with columns of these kinds."""
        kinds = {name: np.array([value], object if isinstance(value, str) else float) for name, value in row.items()}
        self(kinds, 1)

    def _check(self, node: ast.expr, names: set[str]) -> None:
        """Where something true or false is wanted. Adds the columns that are named; `UserError` for anything else."""
        match node:
            case ast.BoolOp(values=values):
                for value in values:
                    self._check(value, names)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._check(operand, names)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                self._check_value(left, names)
                for op, side in zip(ops, comparators, strict=True):
                    if type(op) not in _COMPARE:
                        raise self._refusal(node)
                    if isinstance(op, ast.In | ast.NotIn):
                        self._check_list(side)
                    else:
                        self._check_value(side, names)
            case ast.Constant(value=bool()):
                pass
            case ast.Name() | ast.Attribute() if _is_name(node):
                names.add(_name(node))
            case _:
                raise self._refusal(node)

    def _check_value(self, node: ast.expr, names: set[str]) -> None:
        if not _is_constant(node):
            self._check(node, names)

    def _check_list(self, node: ast.expr) -> None:
        if not isinstance(node, ast.List | ast.Tuple) or not all(map(_is_constant, node.elts)):
            raise self._refusal(node, "behind `in` stands a list of numbers or strings: domain in ['law', 'web']")

    def _refusal(self, node: ast.expr, hint: str = "") -> UserError:
        hint = hint or "use columns, numbers, strings, comparisons, in [...], and, or, not"
        return UserError(f"{self.text!r}: {ast.unparse(node)!r} is not allowed here", hint=hint)

    def _value(self, node: ast.expr, columns: Mapping[str, np.ndarray]) -> Any:
        match node:
            case ast.BoolOp(op=op, values=values):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                parts = [self._value(value, columns) for value in values]
                result = parts[0]
                for part in parts[1:]:
                    result = join(result, part)
                return result
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return np.logical_not(self._value(operand, columns))
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [self._value(side, columns) for side in (left, *comparators)]
                checks = [_compare(op, a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False)]
                return np.logical_and.reduce(np.broadcast_arrays(*checks))
            case ast.Name() | ast.Attribute():
                return columns[_name(node)]
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self._value(item, columns) for item in items]
        raise self._refusal(node)


def _compare(op: ast.cmpop, a: Any, b: Any) -> Any:
    """Raises `TypeError` for a string beside a number, which numpy calls unequal without a word."""
    kinds = {_is_text(side) for side in (a, *(b if isinstance(b, list) else [b]))}
    if len(kinds) > 1:
        raise TypeError("a string and a number")
    return _COMPARE[type(op)](a, b)


def _is_text(side: Any) -> bool:
    return side.dtype.kind in "OSU" if isinstance(side, np.ndarray) else isinstance(side, str)


def _is_constant(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return True
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            return True
    return False


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_name(node.value))


def _name(node: ast.expr) -> str:
    return f"{_name(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ast.unparse(node)
