"""One process pool: units of work in, results out in the order of the units, whoever does the work and however many."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Literal, NamedTuple, TypeVar

from tilth.base.errors import Unfinished

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Engine = Literal["local", "ray"]


class Workers(NamedTuple):
    """Who does data work: so many processes of this machine, or a Ray cluster."""

    processes: int = 1
    engine: Engine = "local"


def map_units(
    function: Callable[[Unit], Result], units: Sequence[Unit], workers: Workers | int = 1
) -> Iterator[tuple[Unit, Result]]:
    """Yield (unit, function(unit)) in the order of `units`; a number of `workers` means processes of this machine.

    `function` and the units must be picklable. With one worker, or one unit, everything runs in this
    process. A worker dies with its parent, so a killed run leaves nobody writing into its folders. Ctrl-C, or a
    caller that wants no more results, ends the workers at once. Raises `Unfinished` where a worker was killed.
    """
    workers = Workers(workers) if isinstance(workers, int) else workers
    if workers.engine == "ray":
        from tilth.base.cluster import map_on_ray

        yield from map_on_ray(function, units, workers.processes)
    elif workers.processes <= 1 or len(units) <= 1:
        for unit in units:
            yield unit, function(unit)
    else:
        yield from _map_on_processes(function, units, workers.processes)


def _map_on_processes(
    function: Callable[[Unit], Result], units: Sequence[Unit], count: int
) -> Iterator[tuple[Unit, Result]]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(count, len(units)), mp_context=context, initializer=_prepare_worker, initargs=(os.getpid(),)
    )
    waiting = [(unit, pool.submit(function, unit)) for unit in units]
    try:
        for unit, future in waiting:
            yield unit, future.result()
    except BrokenProcessPool as error:
        # The pool does not say which worker died; units start in order, so it was at one of the first unfinished.
        unfinished = [str(unit)[:200] for unit, future in waiting if not future.done() or future.exception()]
        raise Unfinished(
            f"a worker process was killed at one of: {', '.join(unfinished[: count + 1])}",
            hint="most likely the memory ran out: lower compute.workers and start again",
        ) from error
    except (KeyboardInterrupt, GeneratorExit):
        for process in list(pool._processes.values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(name, "1")
