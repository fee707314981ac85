"""The app: its commands, and how errors become one clear sentence and an exit status."""

from __future__ import annotations

import errno
import sys
from typing import Annotated, cast

import typer

import tilth
from tilth.base.errors import UserError
from tilth.base.files import NO_ROOM
from tilth.cli import chat, corpus, doctor, evaluate, fit, look, mask, plan, repeat, run, serve, single_steps, tokens
from tilth.cli.usage import sentence

app = typer.Typer(
    name="tilth",
    help="Raw text to a trained, evaluated language model from one recipe, in Chinese and English alike.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
# click's class for a command line that is wrong; newer versions of typer carry click inside, under another name
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])
PLACES = {*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
          errno.ENAMETOOLONG}  # fmt: skip
"""Errors of a place that is full, closed or of another kind: the user's to mend, so one sentence is enough."""
run.register(app)
repeat.register(app)
corpus.register(app)
single_steps.register(app)
look.register(app)
tokens.register(app)
plan.register(app)
fit.register(app)
mask.register(app)
evaluate.register(app)
chat.register(app)
serve.register(app)
doctor.register(app)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"tilth {tilth.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None: ...


def _of_a_place(error: OSError) -> UserError:
    """What the system said of a place, as a sentence: libraries that write put the number into words of their own."""
    if error.errno not in NO_ROOM:
        return UserError(str(error.strerror), where=error.filename)
    hint = "make room, or raise the limit; the same command goes on with what was finished"
    return UserError(NO_ROOM[error.errno], where=error.filename, hint=hint)


def execute(arguments: list[str] | None = None) -> int:
    """Run a command line; returns its exit status. Raises KeyboardInterrupt where Ctrl-C stopped it."""
    try:
        status = app(args=arguments, prog_name="tilth", standalone_mode=False)
    except UsageError as error:
        said = sentence(error)
        if said is None:
            error.show()
        else:
            print(f"tilth: {said}", file=sys.stderr)
        return UserError.exit_code
    except UserError as error:
        print(f"tilth: {error}", file=sys.stderr)
        return UserError.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        return 0
    except OSError as error:
        if error.errno not in PLACES:
            raise
        print(f"tilth: {_of_a_place(error)}", file=sys.stderr)
        return UserError.exit_code
    return status if isinstance(status, int) else 0
