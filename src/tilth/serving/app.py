"""The HTTP application: OpenAI's endpoints over a worker, and the chat page."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from tilth.base.errors import UserError, nearest
from tilth.serving.models import ServedModel
from tilth.serving.protocol import Answer, ChatAsked, TextAsked, error_body, read_request, usage
from tilth.serving.worker import FAILED, Job, Piece, Worker

PAGE = Path(__file__).with_name("page.html")


class NoSuchModel(Exception):
    """404 with OpenAI's code."""


def create_app(models: Sequence[ServedModel]) -> FastAPI:
    """The application for these models; its worker starts and ends with it."""
    by_name = {model.name: model for model in models}
    worker = Worker(models)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        worker.close()

    app = FastAPI(title="Tilth", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    _add_errors(app)

    def pick(name: str | None) -> ServedModel:
        if name is None:
            return models[-1]
        if name not in by_name:
            raise NoSuchModel(f"the model {name!r} is not served here ({nearest(name, by_name)})")
        return by_name[name]

    async def answer(request: Request, kind: type[ChatAsked] | type[TextAsked]) -> Response:
        asked = read_request(kind, await _json(request))
        exchange = Exchange(worker, pick(asked.model), asked)
        if asked.stream:
            return StreamingResponse(
                exchange.events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
            )
        return JSONResponse(await exchange.whole(request))

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return await answer(request, ChatAsked)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        return await answer(request, TextAsked)

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [_describe(model) for model in models]}

    @app.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        return _describe(pick(name))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "models": list(by_name), "active": worker.active}

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    app.state.worker = worker
    return app


def _describe(model: ServedModel) -> dict[str, Any]:
    config = model.engine.decoder.config
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": "tilth",
        "context": model.context,
        "parameters": config.parameter_count,
        "chat": model.chat is not None,
    }


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise UserError(f"not valid JSON: {error}", where="request") from None


def _add_errors(app: FastAPI) -> None:
    """Every error in OpenAI's form."""

    @app.exception_handler(UserError)
    async def wrong(_: Request, error: UserError) -> JSONResponse:
        return JSONResponse(error_body(str(error)), 400)

    @app.exception_handler(NoSuchModel)
    async def unknown(_: Request, error: NoSuchModel) -> JSONResponse:
        return JSONResponse(error_body(str(error), code="model_not_found"), 404)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse(error_body(message), error.status_code)


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
                lambda piece, index=index: deliver(index, piece),  # type: ignore[misc]
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
