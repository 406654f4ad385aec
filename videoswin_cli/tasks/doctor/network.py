"""Reach of the servers that checkpoints come from."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from videoswin_cli.io.paths import offline
from videoswin_cli.io.reach import find_obstacle
from videoswin_cli.model.catalog import list_specs
from videoswin_cli.records import HealthRow


def look_at_network() -> Iterator[HealthRow]:
    """A row per server, asked for one byte of one checkpoint."""
    if offline():
        yield HealthRow(
            part="network",
            name="servers",
            value="not asked: VIDEOSWIN_OFFLINE is set",
            state="note",
            advice="unset VIDEOSWIN_OFFLINE to let checkpoints be downloaded",
        )
        return
    published = [spec.publication.url for spec in list_specs()]
    urls = {urlsplit(url).netloc: url for url in published if url}
    for host, url in urls.items():
        obstacle = find_obstacle(url)
        if obstacle is None:
            yield HealthRow(part="network", name=host, value="answers")
        else:
            yield HealthRow(
                part="network",
                name=host,
                value=obstacle,
                state="problem",
                advice="set HTTPS_PROXY if there is a proxy, or copy checkpoints from a machine "
                "that reaches it and use --checkpoint",
            )
