"""`tilth serve`: the application on a port."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from tilth.base.errors import UserError
from tilth.serving.folders import find_models


def serve(
    paths: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    batch: int = 64,
    device: str = "auto",
    dtype: str = "fp32",
    threads: int | None = None,
) -> None:
    """Serve the models at `paths` until Ctrl-C. UserError for a missing package, model or port."""
    for package in ("fastapi", "uvicorn"):
        if find_spec(package) is None:
            raise UserError(f"{package} is not installed", hint="pip install 'tilth[serve]'")
    import uvicorn

    folders = find_models(paths)
    listening = _listen(host, port)

    from tilth.serving.app import create_app
    from tilth.serving.models import load_model, set_threads

    models = []
    for name, folder in folders.items():
        model = load_model(name, folder, device=device, dtype=dtype, batch=batch)
        kind = "chat" if model.chat else "base"
        print(f"{name}: {model.engine.decoder.config.parameter_count:,} parameters, context {model.context:,}, {kind}")
        models.append(model)
    set_threads(models, threads)
    app = create_app(models)

    class Server(uvicorn.Server):
        """Ends the answers under way when it is told to leave, so that no stream keeps it."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.worker.abort("the server is leaving")
            super().handle_exit(sig, frame)

    listening.listen()  # from here on a client waits instead of being refused
    print(f"http://{host}:{listening.getsockname()[1]}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # the way to leave
        Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise UserError(f"{host}:{port} cannot be used: {error.strerror}", hint="another --port; 0 takes any") from None
    return listening
