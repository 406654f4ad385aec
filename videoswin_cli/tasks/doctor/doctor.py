"""Health of an installation: everything that decides whether and how videoswin runs here."""

from collections.abc import Iterator

from videoswin_cli.records import HealthRow
from videoswin_cli.tasks.doctor.packages import list_extras, list_versions
from videoswin_cli.tasks.doctor.storage import look_at_storage


def examine(*, network: bool = False) -> Iterator[HealthRow]:
    """Facts of this installation, part by part.

    Args:
        network: ask the servers of checkpoints for a byte each; else nothing leaves the machine.
    """
    yield from list_versions()
    try:
        import torch  # noqa: F401 - without it the rest cannot be asked
    except (ImportError, OSError) as error:
        yield HealthRow(
            part="machine",
            name="torch",
            value=f"cannot be imported: {error}",
            state="problem",
            advice="pip install --force-reinstall torch",
        )
    else:
        from videoswin_cli.tasks.doctor.decoding import try_decoders
        from videoswin_cli.tasks.doctor.machine import look_at_machine

        yield from try_decoders()
        yield from look_at_machine()
    yield from look_at_storage()
    if network:
        from videoswin_cli.tasks.doctor.network import look_at_network

        yield from look_at_network()
    yield from list_extras()
