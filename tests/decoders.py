"""Decoders that a machine may lack."""

import pytest

from videoswin_cli.data.decoding.decord_reader import load_decord
from videoswin_cli.data.decoding.torchcodec_reader import load_torchcodec
from videoswin_cli.errors import UsageError


def need_decoder(name: str) -> None:
    """Skip the test where this decoder is named and cannot be imported."""
    if name == "decord" and load_decord() is None:
        pytest.skip("decord cannot be imported here")
    if name == "torchcodec":
        try:
            load_torchcodec()
        except UsageError as error:
            pytest.skip(error.message)
