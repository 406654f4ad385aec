"""Fixtures for several test files."""

import os
from pathlib import Path

import pytest

VIDEOS = ("demo.mp4", "test.avi")


@pytest.fixture(scope="session")
def real_videos() -> Path:
    """Folder of the two clips that the references were run on; they are not part of this project.

    Both come with SwinTransformer/Video-Swin-Transformer: demo/demo.mp4 and tests/data/test.avi.
    """
    folder = os.environ.get("VIDEOSWIN_TEST_VIDEOS")
    if not folder:
        pytest.skip(f"set VIDEOSWIN_TEST_VIDEOS to the folder that holds {' and '.join(VIDEOS)}")
    missing = [name for name in VIDEOS if not (Path(folder) / name).is_file()]
    assert not missing, f"VIDEOSWIN_TEST_VIDEOS={folder} holds no {', '.join(missing)}"
    return Path(folder)
