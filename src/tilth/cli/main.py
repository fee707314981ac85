"""The `tilth` command: exit 0 done, 2 the user's input is wrong, 1 Tilth's fault, 130 stopped by Ctrl-C.

Loading the commands takes a moment, in which Ctrl-C is heard already: so nothing is loaded here outside of `main`.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys

TYPE_CHECKING = False  # as mypy knows it: `typing` takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable

# How long a thread of libgomp spins before it sleeps, set before torch is loaded. By default two threads that have to
# share their cores with anything else spin most of the time away; measured on two cores (steps a second): alone 2.7
# either way, beside two busy processes 0.06 by default and 0.8 so.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# Arrow takes its memory where Python and the kernels do, so that what one frees the others use: measured on a corpus,
# 14 % less of it at the peak, and 3 % less time, than with a pool of Arrow's own beside.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
# At its end the interpreter looks for cycles among all that is left, though the system takes everything back anyway: a
# quarter of a second behind a corpus.
atexit.register(gc.freeze)
STOPPED = 130
"""Exit status of a command that Ctrl-C stopped; newer versions of typer return it instead of raising."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; never shows a traceback for a mistake of the user's, or for Ctrl-C."""
    try:
        status = _load()(arguments)
    except KeyboardInterrupt:
        status = STOPPED
    if status == STOPPED:
        _say_stopped()
    sys.exit(status)


def _load() -> Callable[[list[str] | None], int]:
    """What runs a command line. Ctrl-C meanwhile ends the process on the spot: an import may swallow the exception, or
    turn it into another one, and nothing has begun that would have to be finished.
    """
    import signal

    before = signal.getsignal(signal.SIGINT)
    heard = before is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, _leave)
    gc.disable()  # modules are no garbage
    from tilth.cli.app import execute

    gc.enable()
    if heard:
        signal.signal(signal.SIGINT, before)
    return execute


def _leave(*_: object) -> None:
    _say_stopped()
    os._exit(STOPPED)


def _say_stopped() -> None:
    print("\ntilth: stopped; the same command goes on with what was finished", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
