"""What the training tests share."""

from pathlib import Path

import pytest
from few_clips import write_few


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips and a model, which no test changes."""
    return write_few(tmp_path_factory.mktemp("few"))
