"""Errors of the libraries that speak to buckets, told in our words."""

import pytest

from videoswin_cli.errors import FetchError
from videoswin_cli.io.storage import try_again


class ClientConnectorError(OSError):
    """As aiohttp's."""


class ClientConnectorDNSError(ClientConnectorError):
    """As aiohttp's, of a name that no server knows."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ClientConnectorDNSError("Cannot connect to host a.b:443"),
            "the service cannot be reached",
        ),
        (
            ValueError(
                "unable to connect to account for Must provide either a connection_string or "
                "account_name with credentials!!"
            ),
            "no credentials were found",
        ),
    ],
)
def test_an_error_of_a_library_says_what_is_wrong(error: Exception, message: str) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(FetchError) as caught:
        try_again(fail, "az://bucket/clip.mp4", tries=1)
    assert caught.value.message == f"cannot fetch az://bucket/clip.mp4: {message}"
