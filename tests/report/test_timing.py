"""Where the time went, in words."""

import pytest

from videoswin_cli.records import Timing
from videoswin_cli.report.timing import describe_timing


@pytest.mark.parametrize(("waited", "limited"), [(1.0, False), (9.0, True)])
def test_a_network_that_waits_more_than_it_computes_is_told(waited: float, limited: bool) -> None:
    timing = Timing(
        videos=4,
        processes=1,
        seconds=10.0,
        decode_seconds=8.0,
        wait_seconds=waited,
        model_seconds=5.0,
    )
    text = describe_timing(timing)
    assert text.endswith("; decoding is the limit") == limited
    assert f"waiting for frames {waited:.1f} s" in text
