"""Refusals of requests: a status, and what to do."""

from videoswin_cli.errors import FetchError, UsageError, VideoSwinError
from videoswin_cli.io.atomic import to_json

RETRY_SECONDS = 1


class RefusedError(Exception):
    """A request that is not answered."""

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with the status."""
        if self.status == 503:
            return {"Retry-After": str(RETRY_SECONDS)}
        return {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}

    @property
    def body(self) -> str:
        """One JSON object in a line."""
        return to_json({"error": self.message, "hint": self.hint}) + "\n"


def refuse(error: Exception) -> RefusedError:
    """The refusal for an error."""
    if isinstance(error, RefusedError):
        return error
    if not isinstance(error, VideoSwinError):
        return RefusedError(500, "internal error", hint="the server's stderr says more")
    asked = isinstance(error, UsageError | FetchError)  # for what cannot be had
    return RefusedError(422 if asked else 500, error.message, hint=error.hint)
