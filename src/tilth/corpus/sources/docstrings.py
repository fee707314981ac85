"""Documentation inside Python files: docstrings, and the help texts of `pydoc_data.topics`."""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path

from tilth.corpus.sources.formats import Record, Unreadable, decode, too_long
from tilth.corpus.sources.records import Mapper, Unusable

SHORTEST = 200
"""Characters; a shorter docstring says too little to be a document of its own."""


def read_docstrings(path: Path, mapper: Mapper, limit: int) -> Iterator[Record]:
    """Each module, class and function docstring of at least 200 characters is a document, and so is each text of a
    dictionary called `topics`. The file is parsed, never run; one that does not parse is one unreadable record.
    """
    size = path.stat().st_size
    if size > limit:
        yield Unreadable(mapper.file, 0, too_long(limit), size, "too_long")
        return
    try:
        source, _ = decode(path.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes of old code are no concern of ours
            tree = ast.parse(source)
    except Unusable as error:
        yield Unreadable(mapper.file, 0, str(error), size)
        return
    except (SyntaxError, ValueError, RecursionError) as error:
        yield Unreadable(mapper.file, getattr(error, "lineno", 0) or 0, f"not Python that parses here: {error}", size)
        return
    for number, (name, text) in enumerate(_texts(tree), start=1):
        try:
            row = mapper.row({"text": text, "name": name}, number)
            row.id = f"{mapper.file}:{name}"
            yield row
        except Unusable as error:
            yield Unreadable(mapper.file, number, str(error), len(text.encode("utf-8", "surrogatepass")))


def _texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(dotted name, text) in the order of the file."""
    yield from _docstrings(tree, "")
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name("topics")], value=ast.Dict(keys=keys, values=values)):
                yield from _entries(keys, values)


def _entries(keys: list[ast.expr | None], values: list[ast.expr]) -> Iterator[tuple[str, str]]:
    for key, value in zip(keys, values, strict=True):
        match key, value:
            case ast.Constant(value=str() as name), ast.Constant(value=str() as text) if len(text) >= SHORTEST:
                yield name, text.strip()


def _docstrings(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, prefix: str
) -> Iterator[tuple[str, str]]:
    text = ast.get_docstring(node, clean=False)
    if text is not None and len(cleaned := inspect.cleandoc(text)) >= SHORTEST:
        yield prefix or "module", cleaned
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(child, f"{prefix}.{child.name}".lstrip("."))
