from pathlib import Path

import pytest

from videoswin_cli.io import paths
from videoswin_cli.io.paths import configs_dir


def test_configs_lie_beside_the_package_in_a_clone_and_in_it_when_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (configs_dir() / "models" / "swin-tiny-k400.yaml").is_file()
    package = tmp_path / "site" / "videoswin_cli"
    package.mkdir(parents=True)
    monkeypatch.setattr(paths, "__file__", str(package / "io" / "paths.py"))
    assert configs_dir() == tmp_path / "site" / "configs"
    (package / "configs").mkdir()
    assert configs_dir() == package / "configs"
