"""The HTTP application: OpenAI's endpoints over a worker, and the chat page."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from tilth.base.errors import UserError, nearest
from tilth.serving.exchange import Exchange
from tilth.serving.models import ServedModel
from tilth.serving.protocol import ChatAsked, TextAsked, error_body, read_request
from tilth.serving.worker import Worker

PAGE = Path(__file__).with_name("page.html")


class NoSuchModel(Exception):
    """404 with OpenAI's code."""


class _Service:
    """The models by their names, and the worker that steps them."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self.models = {model.name: model for model in models}
        self.worker = Worker(models)

    def pick(self, name: str | None) -> ServedModel:
        """The model of this name; without one, the last."""
        if name is None:
            name = next(reversed(self.models))
        if name not in self.models:
            raise NoSuchModel(f"the model {name!r} is not served here ({nearest(name, self.models)})")
        return self.models[name]

    async def answer(self, request: Request, kind: type[ChatAsked] | type[TextAsked]) -> Response:
        """What one of the two endpoints answers, streamed or whole."""
        asked = read_request(kind, await _json(request))
        exchange = Exchange(self.worker, self.pick(asked.model), asked)
        if asked.stream:
            return StreamingResponse(
                exchange.events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
            )
        return JSONResponse(await exchange.whole(request))

    @contextlib.asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """The worker starts and ends with the application."""
        self.worker.start()
        yield
        self.worker.close()


def create_app(models: Sequence[ServedModel]) -> FastAPI:
    """The application for these models; `state.worker` is what steps them."""
    service = _Service(models)
    app = FastAPI(title="Tilth", docs_url=None, redoc_url=None, openapi_url=None, lifespan=service.lifespan)
    app.state.worker = service.worker
    _add_errors(app)

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return await service.answer(request, ChatAsked)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        return await service.answer(request, TextAsked)

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [_describe(model) for model in models]}

    @app.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        return _describe(service.pick(name))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "models": list(service.models), "active": service.worker.active}

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

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
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON: {error}", where="request") from None
    return json.loads(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))  # lone surrogates have no UTF-8


def _add_errors(app: FastAPI) -> None:
    """Every error in OpenAI's form."""

    @app.exception_handler(UserError)
    async def wrong(_: Request, error: UserError) -> JSONResponse:
        return JSONResponse(error_body(str(error)), 400)

    @app.exception_handler(NoSuchModel)
    async def unknown(_: Request, error: NoSuchModel) -> JSONResponse:
        return JSONResponse(error_body(str(error), code="model_not_found"), 404)

    @app.exception_handler(Exception)
    async def ours(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(error_body(f"{type(error).__name__}: {error}", kind="server_error"), 500)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse(error_body(message), error.status_code)
