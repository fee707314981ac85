"""One HTTP request: its prompts as jobs of the worker, and what comes of them, streamed or whole."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException

from tilth.serving.models import ServedModel
from tilth.serving.protocol import Answer, ChatAsked, TextAsked, error_body, usage
from tilth.serving.worker import FAILED, Job, Piece, Worker


class EngineFailed(Exception):
    """A step of the engine failed: 500."""


class Exchange:
    """One HTTP request's jobs, one for each prompt, and their pieces as they come."""

    def __init__(self, worker: Worker, model: ServedModel, asked: ChatAsked | TextAsked) -> None:
        self.worker, self.asked = worker, asked
        self.prompts = asked.prompts(model)
        self.answer = Answer(model.name, chat=isinstance(asked, ChatAsked))
        self._pieces: asyncio.Queue[tuple[int, Piece]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(index: int, piece: Piece) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(self._pieces.put_nowait, (index, piece))

        seed = asked.chosen_seed
        self.jobs = [
            Job(
                model,
                prompt,
                asked.limit,
                asked.stop_tokens(model),
                asked.stops,
                asked.sampling,
                seed,
                functools.partial(deliver, index),
            )
            for index, prompt in enumerate(self.prompts)
        ]
        for prompt in self.prompts:
            model.engine.check(prompt)

    async def pieces(self) -> AsyncGenerator[tuple[int, Piece], None]:
        """(index, piece) of all jobs, which begin here; those not finished when this is closed are cancelled."""
        going = len(self.jobs)
        try:
            for job in self.jobs:
                self.worker.submit(job)
            while going:
                index, piece = await self._pieces.get()
                if piece.reason == FAILED:
                    raise EngineFailed(piece.text)
                going -= piece.reason is not None
                yield index, piece
        finally:
            for job in self.jobs:
                self.worker.cancel(job)

    async def events(self) -> AsyncIterator[str]:
        """Server-sent events."""
        started: set[int] = set()
        try:
            async with contextlib.aclosing(self.pieces()) as pieces:
                async for index, piece in pieces:
                    yield _event(self.answer.chunk(index, piece.text, piece.reason, first=index not in started))
                    started.add(index)
        except EngineFailed as error:
            yield _event(error_body(str(error), kind="server_error"))
            return
        if self.asked.usage_in_stream:
            yield _event(self.answer.last(self._usage()))
        yield "data: [DONE]\n\n"

    async def whole(self, request: Request) -> dict[str, Any]:
        """The response in one; cancelled when the client has gone."""
        collecting = asyncio.ensure_future(self._collect())
        leaving = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait((collecting, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not collecting.done():
                raise HTTPException(499, "the client has gone")
            return collecting.result()
        except EngineFailed as error:
            raise HTTPException(500, str(error)) from None
        finally:
            collecting.cancel()
            leaving.cancel()

    async def _collect(self) -> dict[str, Any]:
        texts, reasons = [""] * len(self.jobs), [""] * len(self.jobs)
        async with contextlib.aclosing(self.pieces()) as pieces:
            async for index, piece in pieces:
                texts[index] += piece.text
                reasons[index] = piece.reason or ""
        return self.answer.whole(texts, reasons, self._usage())

    def _usage(self) -> dict[str, int]:
        return usage(self.prompts, sum(job.seen for job in self.jobs))


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
