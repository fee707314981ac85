"""The `tilth` command: exit 0 done, 2 the user's input is wrong, 1 Tilth's fault, 130 stopped by Ctrl-C."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from typing import Annotated, cast

import typer

import tilth
from tilth.base.errors import UserError
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
# How long a thread of libgomp spins before it sleeps, set before torch is loaded. By default two threads that have to
# share their cores with anything else spin most of the time away; measured on two cores (steps a second): alone 2.7
# either way, beside two busy processes 0.06 by default and 0.8 so.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# For how many milliseconds Arrow keeps freed memory, set before it is loaded: until the end of a stage (see
# `machine.release_memory`). By default it goes back after 10, and the system clears its pages again for the next batch.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "10000")
# At its end the interpreter looks for cycles among all that is left, though the system takes everything back anyway: a
# quarter of a second behind a corpus.
atexit.register(gc.freeze)
PLACES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
          errno.ENAMETOOLONG}  # fmt: skip
"""Errors of a place that is full, closed or of another kind: the user's to mend, so one sentence is enough."""
STOPPED = 130
"""Exit status of a command that Ctrl-C stopped; newer versions of typer return it instead of raising."""
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; never shows a traceback for a mistake of the user's."""
    try:
        status = app(args=arguments, prog_name="tilth", standalone_mode=False)
    except UsageError as error:
        said = sentence(error)
        if said is None:
            error.show()
        else:
            print(f"tilth: {said}", file=sys.stderr)
        sys.exit(2)
    except UserError as error:
        print(f"tilth: {error}", file=sys.stderr)
        sys.exit(UserError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        status = STOPPED
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if error.errno not in PLACES:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"tilth: {where}{error.strerror}", file=sys.stderr)
        sys.exit(UserError.exit_code)
    if status == STOPPED:
        print("\ntilth: stopped; the same command goes on with what was finished", file=sys.stderr)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
