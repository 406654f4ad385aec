"""Routes of the server: each checks, receives, computes and answers."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.serve import ServeOptions
from videoswin_cli.report.pages.service import render_api_page, render_service_page
from videoswin_cli.tasks.serve.answers import Answer, Computer, read_wish
from videoswin_cli.tasks.serve.description import UNAUTHORIZED, describe_answer
from videoswin_cli.tasks.serve.intake import IntakeRules, received
from videoswin_cli.tasks.serve.measures import Measures
from videoswin_cli.tasks.serve.refusals import RefusedError, refuse
from videoswin_cli.version import __version__

_JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Service:
    """All that routes need."""

    computer: Computer
    answers: Mapping[str, Answer]  # by route
    options: ServeOptions
    token: str | None
    intake: IntakeRules
    pool: ThreadPoolExecutor  # decodes, and waits for the network
    measures: Measures

    @property
    def model(self) -> LoadedModel:
        return self.computer.runner.model


def make_app(service: Service) -> FastAPI:
    """The application, whose pages fetch nothing from elsewhere."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.pool.shutdown)

    app = FastAPI(
        title="videoswin", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    app.add_exception_handler(RefusedError, _answer_refusal)
    app.add_exception_handler(VideoSwinError, _answer_refusal)
    app.add_exception_handler(HTTPException, _answer_routing)
    app.add_exception_handler(Exception, _answer_refusal)  # which uvicorn logs
    app.add_middleware(_HeadAsGet)
    for name, answer in service.answers.items():
        _add_answer(app, service, name, answer)
    _add_facts(app, service)
    _add_pages(app, service)
    return app


async def _answer_refusal(request: Request, error: Exception) -> Response:
    refused = refuse(error)
    return Response(
        refused.body, status_code=refused.status, headers=refused.headers, media_type=_JSON
    )


async def _answer_routing(request: Request, error: Exception) -> Response:
    """No such route, or not with this method."""
    assert isinstance(error, HTTPException)
    refused = RefusedError(error.status_code, error.detail, hint="GET /docs lists the routes")
    return Response(
        refused.body, status_code=refused.status, headers=error.headers, media_type=_JSON
    )


class _HeadAsGet:
    """HEAD for whatever answers GET; uvicorn leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def _add_answer(app: FastAPI, service: Service, name: str, answer: Answer) -> None:
    async def respond(request: Request) -> Response:
        _check_token(service, request)
        try:
            result = await compute(request)
        except UsageError as error:
            message, hint = map(answer.name_parameters, (error.message, error.hint))
            raise type(error)(message, hint=hint) from error
        if result.error is not None:
            result = replace(result, error=answer.name_parameters(result.error))
        status = 200 if result.error is None else 422
        return Response(answer.to_json(result), status_code=status, media_type=_JSON)

    async def compute(request: Request) -> Any:
        wish = read_wish(answer, request.query_params.multi_items())
        service.intake.computing.check()  # before a body comes in vain
        async with received(request, service.intake) as upload:
            return await asyncio.get_running_loop().run_in_executor(
                service.pool, service.computer.compute, answer, wish, upload
            )

    @app.post(f"/{name}", summary=answer.summary, **describe_answer(answer))
    async def handle(request: Request) -> Response:
        begun, status = time.perf_counter(), 500
        try:
            response = await respond(request)
            status = response.status_code
            return response
        except (RefusedError, VideoSwinError) as error:
            status = refuse(error).status
            raise
        finally:
            service.measures.requests.labels(name, str(status)).inc()
            service.measures.seconds.labels(name).observe(time.perf_counter() - begun)


def _check_token(service: Service, request: Request) -> None:
    if service.token is None:
        return
    header = request.headers.get("authorization", "").encode("latin-1")  # which decoded its bytes
    kind, _, given = header.partition(b" ")
    if kind.lower() != b"bearer" or not given.strip():
        raise RefusedError(401, "a token is needed", hint="Authorization: Bearer TOKEN")
    if not secrets.compare_digest(given.strip(), service.token.encode()):
        raise RefusedError(401, "the token is wrong", hint="ask whoever runs this server for it")


def _add_facts(app: FastAPI, service: Service) -> None:
    @app.get("/models", summary="The model that answers, and its classes.", responses=UNAUTHORIZED)
    async def models(request: Request) -> JSONResponse:
        _check_token(service, request)
        return JSONResponse([_describe_model(service)])

    @app.get("/health", summary="Whether the server is up.")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/metrics",
        summary="Figures for Prometheus.",
        response_class=Response,
        responses=UNAUTHORIZED,
    )
    async def metrics(request: Request) -> Response:
        _check_token(service, request)
        return Response(service.measures.text(), media_type="text/plain; version=0.0.4")


def _describe_model(service: Service) -> dict[str, Any]:
    settings = service.computer.runner.settings
    return {
        "name": service.model.spec.name,
        "views": str(settings.views),
        "clip_frames": settings.protocol.clip_frames,
        "device": str(settings.runtime.device),
        "precision": settings.runtime.precision,
        "engine": settings.runtime.engine,
        "batch_size": settings.batch_size,
        "multi_label": service.model.spec.multi_label,
        "max_body": service.options.max_body,
        "max_duration": service.options.max_duration,
        "max_views": service.options.max_views,
        "allow_urls": service.options.allow_urls,
        "labels": list(service.model.labels),
    }


def _add_pages(app: FastAPI, service: Service) -> None:
    page, policy = render_service_page(
        service.model.spec.name, needs_token=service.token is not None
    )

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page, headers=_protect(policy))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        text, own = render_api_page(app.openapi())
        return HTMLResponse(text, headers=_protect(own))


def _protect(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
