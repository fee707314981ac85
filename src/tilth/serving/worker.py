"""The thread that steps the engines: requests of all clients join and leave their model's batch between steps."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tilth.model import Request, Sampling
from tilth.serving.models import ServedModel
from tilth.serving.text import TextStream

FAILED = "error"


class Piece(NamedTuple):
    """What a step brought for one job."""

    text: str
    reason: str | None = None
    """Why nothing follows: stop, length or error."""


@dataclass(eq=False)
class Job:
    """One prompt on its way to a client; `deliver` is called in the worker's thread."""

    model: ServedModel
    prompt: Sequence[int]
    max_new: int | None
    stop_tokens: Sequence[int]
    stop: Sequence[str]
    sampling: Sampling
    seed: int
    deliver: Callable[[Piece], None]
    request: Request | None = None
    seen: int = 0
    """Tokens whose text has been delivered or is held back."""
    stream: TextStream = field(init=False)

    def __post_init__(self) -> None:
        self.stream = TextStream(self.model.tokenizer, self.stop)

    def advance(self) -> str | None:
        """Deliver what is new; returns why it is finished, or None."""
        assert self.request is not None
        text, reason = "", None
        for token in self.request.result.tokens[self.seen :]:
            text += self.stream.add(token)
            self.seen += 1
        if self.request.finished and not self.stream.stopped:
            text += self.stream.finish()
            reason = "stop" if self.request.result.stopped else "length"
        if self.stream.stopped:
            reason = "stop"
        if text or reason:
            self.deliver(Piece(text, reason))
        return reason


class Worker:
    """Steps every busy engine in turn. Jobs are handed over and cancelled from any thread."""

    def __init__(self, models: Iterable[ServedModel]) -> None:
        self.models = list(models)
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._jobs: dict[Request, Job] = {}
        self._open = True
        self._thread = threading.Thread(target=self._run, name="tilth-engine", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Leave after the step under way."""
        self._inbox.put(self._close)
        if self._thread.is_alive():
            self._thread.join()

    def abort(self, why: str) -> None:
        """End every job under way with an error."""
        for model in self.models:
            self._inbox.put(functools.partial(self._fail, model, why))

    def submit(self, job: Job) -> None:
        """Queue a job. UserError, at once, where its prompt cannot be answered."""
        job.model.engine.check(job.prompt)
        self._inbox.put(lambda: self._accept(job))

    def cancel(self, job: Job) -> None:
        """Stop working for this job; nothing where it is finished."""
        self._inbox.put(lambda: self._drop(job))

    @property
    def active(self) -> int:
        """Jobs under way."""
        return len(self._jobs)

    def _run(self) -> None:
        while self._open:
            busy = [model for model in self.models if model.engine.busy]
            self._read_inbox(wait=not busy)
            for model in busy:
                self._step(model)

    def _read_inbox(self, *, wait: bool) -> None:
        with contextlib.suppress(queue.Empty):
            self._inbox.get(block=wait)()
            while True:
                self._inbox.get_nowait()()

    def _step(self, model: ServedModel) -> None:
        try:
            for request in model.engine.step():
                job = self._jobs.get(request)
                if job is not None and job.advance() is not None:
                    self._drop(job)
        except Exception as error:  # must not end the server: these requests fail, the next ones go on
            self._fail(model, f"{type(error).__name__}: {error}")

    def _fail(self, model: ServedModel, why: str) -> None:
        for job in [job for job in self._jobs.values() if job.model is model]:
            job.deliver(Piece(why, FAILED))
            self._drop(job)
        model.engine.clear()

    def _accept(self, job: Job) -> None:
        job.request = job.model.engine.submit(
            job.prompt, max_new=job.max_new, stop=job.stop_tokens, sampling=job.sampling, seed=job.seed
        )
        self._jobs[job.request] = job

    def _drop(self, job: Job) -> None:
        if job.request is not None and self._jobs.pop(job.request, None) is not None:
            job.model.engine.cancel(job.request)

    def _close(self) -> None:
        self._open = False
