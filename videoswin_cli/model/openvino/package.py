"""The package openvino, imported here alone."""

import sys
from typing import Any


def import_openvino() -> Any:
    """The package openvino, which sends nothing home.

    When it is imported it reports that to a server, offline mode or not, and keeps an identity in
    the user's home, by a package of its own. Where that cannot be imported, it goes without.

    Raises:
        ImportError: it is not installed.
        Exception: whatever is broken in it.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
