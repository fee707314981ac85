"""`tilth doctor`: what is here, what is missing, and what that means."""

from __future__ import annotations

import importlib.metadata
import json
from importlib.util import find_spec

import typer

from tilth.cli.options import JsonOption

PACKAGES = {
    "torch": "training, evaluation, export (pip install 'tilth[train]')",
    "numba": "the corpus chain",
    "pyarrow": "documents",
    "tokenizers": "tokenizers",
    "transformers": "only for tests",
}


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("doctor")(doctor)


def doctor(as_json: JsonOption = False) -> None:
    """Show the machine, the packages and what they make possible.

    Example:

        tilth doctor
    """
    from tilth import __version__
    from tilth.base import machine

    facts = machine.describe() | {"bf16": machine.fast_bf16(), "cpp_compiler": machine.cpp_compiler()}
    versions = {name: importlib.metadata.version(name) if find_spec(name) else None for name in PACKAGES}
    if as_json:
        print(json.dumps({"tilth": __version__, **facts, "packages": versions}))
        return
    print(f"tilth {__version__}, Python {facts['python']}, {facts['system']}")
    print(f"{facts['processor']}, {facts['cores']} cores, {facts['memory_bytes'] / 2**30:.1f} GiB")
    print(f"bf16 on the processor: {'yes' if facts['bf16'] else 'no; training runs in fp32'}")
    print(f"C++ compiler: {facts['cpp_compiler'] or 'none; training runs uncompiled, a third slower'}")
    for name, use in PACKAGES.items():
        print(f"{name:<13} {versions[name] or 'missing':<12} {use}")
