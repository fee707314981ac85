"""Units of work on a Ray cluster, results in the order of the units: the pool for what outgrows one machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tilth.base.errors import Unfinished, UserError

Unit = TypeVar("Unit")
Result = TypeVar("Result")


def map_on_ray(function: Callable[[Unit], Result], units: Sequence[Unit], count: int) -> Iterator[tuple[Unit, Result]]:
    """Yield (unit, function(unit)) in the order of `units`, a task of one CPU each.

    The cluster is the one that RAY_ADDRESS names, all of it; without that, `count` processes of this machine under a
    Ray of their own, which ends with the call. Every node must see the run's files under the same paths. UserError
    where Ray is not installed, cannot be reached, or lost a worker.
    """
    try:
        import ray
    except ImportError:
        raise UserError(
            "compute.engine is ray, but Ray is not installed", hint="pip install 'tilth[cluster]'"
        ) from None
    started = not ray.is_initialized()
    if started:
        _connect(count)
    task: Any = ray.remote(num_cpus=1, max_retries=0)(_call)
    given = ray.put(function)
    waiting = [(unit, task.remote(given, unit)) for unit in units]
    try:
        for unit, reference in waiting:
            try:
                yield unit, ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                raise Unfinished(
                    f"a Ray worker was lost at {str(unit)[:200]}: {type(error).__name__}",
                    hint="most likely the memory ran out: give each task more CPUs' worth of memory, and start again",
                ) from error
    finally:
        if started:  # ends this driver's tasks too; cancelling a task that just ends can abort the process (Ray 2.60)
            ray.shutdown()


def _call(function: Callable[[Unit], Result], unit: Unit) -> Result:
    return function(unit)


def _connect(count: int) -> None:
    import ray

    address = os.environ.get("RAY_ADDRESS")
    resources: dict[str, Any] = {} if address else {"num_cpus": count, "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **resources)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"the Ray cluster at {address} cannot be reached: {error}", hint="see RAY_ADDRESS") from None
