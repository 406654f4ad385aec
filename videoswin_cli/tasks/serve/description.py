"""Description of the answers for OpenAPI, from their option records."""

from typing import Any

from videoswin_cli.options.fields import Option
from videoswin_cli.tasks.serve.answers import Answer
from videoswin_cli.tasks.serve.intake import ARRAY_TYPE

UNAUTHORIZED: dict[int | str, dict[str, Any]] = {
    401: {"description": "The token is missing or wrong."}
}
_STATES = {
    400: "The upload ended in its middle.",
    403: "An address, which this server does not fetch.",
    408: "The body is too slow.",
    413: "The body is too large.",
    415: "A body of another type.",
    422: "The video cannot be read, is too long, or a parameter is wrong.",
    503: "Too many requests or uploads at once; Retry-After says when to ask again.",
    507: "There is no room for the upload.",
}


def describe_answer(answer: Answer) -> dict[str, Any]:
    """Arguments of a route."""
    binary = {"type": "string", "format": "binary"}
    content = {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": binary}, "required": ["file"]}
        },
        ARRAY_TYPE: {"schema": binary},
        "application/json": {
            "schema": {"type": "object", "properties": {"url": {"type": "string"}}}
        },
    }
    return {
        "response_class": _json_response(),
        "responses": {
            200: {"model": answer.record},
            **UNAUTHORIZED,
            **{status: {"description": text} for status, text in _STATES.items()},
        },
        "openapi_extra": {
            "parameters": [_describe(answer, each) for each in answer.list_parameters()],
            "requestBody": {"required": True, "content": content},
        },
    }


def _json_response() -> Any:
    from fastapi.responses import JSONResponse

    return JSONResponse


def _describe(answer: Answer, option: Option) -> dict[str, Any]:
    default = option.about.shown_default or option.default
    text = f"{option.about.help} Default: {default}."
    return {
        "name": option.name,
        "in": "query",
        "required": False,
        "description": answer.name_parameters(text),
        "schema": {"type": "string"},
    }
