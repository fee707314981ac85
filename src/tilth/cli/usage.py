"""What is wrong with a command line, as one sentence: the option or argument by name, what was expected, an example."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from tilth.base.errors import nearest
from tilth.base.mistakes import expectation


def sentence(error: Any) -> str | None:
    """One sentence for a mistake of usage; None where the command's help is the answer (`tilth fit` alone).

    The parser's own words take four lines and speak of inputs and of parsing. Newer versions of typer carry the parser
    inside, under another name, so its errors are told apart by what their classes are called and by what they say.
    """
    kind, option = type(error).__name__, getattr(error, "param", None)
    command = getattr(error.ctx, "command_path", "tilth")
    if kind == "NoArgsIsHelpError":
        return None
    if kind == "NoSuchOption":
        return f"{error.option_name} is no option of {command} ({_like(error.option_name, _options(error))})"
    if found := re.match("No such command '(.*?)'", error.message):
        return f"{found[1]!r} is no command of {command} ({_like(found[1], list(error.ctx.command.commands))})"
    if found := re.search(r"unexpected extra arguments?(?:\(s\))? \((.*)\)", error.message):
        return f"{found[1]}: {command} takes no more arguments ({command} --help)"
    if kind == "BadOptionUsage":
        needs = "needs a value" if "requires" in error.message else "takes no value"
        return f"{error.option_name} {needs} (see --help)"  # these errors do not know their command
    if kind == "MissingParameter" and option is not None:
        return f"{_name(option)} is missing: {_what(option)} ({command} --help)"
    if option is not None and isinstance(error.__cause__, ValidationError):
        return _mistaken_value(option, error.__cause__.errors(include_url=False)[0])
    said = error.message.rstrip(".")
    return f"{_name(option)}: {said} ({command} --help)" if option is not None else f"{said} ({command} --help)"


def _mistaken_value(option: Any, item: Any) -> str:
    """Of the wrong type or out of its range: typer's parser knows the value and the limits."""
    name, example = _name(option), _example(option, item)
    typed = f"{name} {example}" if name.startswith("-") else example
    return f"{name} {item['input'] or repr(item['input'])}: {expectation(item)} (for example {typed})"


def _name(option: Any) -> str:
    """As it is typed: `--devices`; of an argument as the help names it: `POINTS.csv`."""
    if option.opts and option.opts[0].startswith("-"):
        return str(max(option.opts, key=len))
    return str(option.metavar or option.name.upper()).removesuffix("...")


def _what(option: Any) -> str:
    """The help's first words, as they go on behind a colon."""
    said = (option.help or "see the help").rstrip(".")
    return said[:1].lower() + said[1:]


def _options(error: Any) -> list[str]:
    return [name for one in error.ctx.command.params for name in one.opts if name.startswith("--")]


def _like(name: str, known: list[str]) -> str:
    """The nearest, or all that there are."""
    said = nearest(name, known) if known else "there are none but --help"
    return said.replace("'", "") if said.startswith("did") else said


def _example(option: Any, item: Any) -> str:
    """The default where there is one that fits, or that the help names; else a value of the type, inside the limits."""
    default = option.default
    if isinstance(default, str | int | float) and not isinstance(default, bool):
        return str(default)
    if found := re.search(r"\[default: ([\d.]+)", option.help or ""):
        return found[1]
    context, words = item.get("ctx", {}), re.findall("'([^']*)'", expectation(item))
    if words:  # of a choice: the known ones, behind the one that was given
        return str(next((word for word in words if word != item["input"]), words[0]))
    for limit in ("ge", "le"):
        if limit in context:
            return str(context[limit])
    return "8" if item["type"].startswith("int") else "2.5"
