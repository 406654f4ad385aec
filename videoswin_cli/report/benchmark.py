"""Timing of a benchmark, as a table."""

from collections.abc import Iterator

from videoswin_cli.io.visible import counted
from videoswin_cli.records import Benchmark

_LIMITED = 0.2  # share of the time that the network waited which is worth a word


def benchmark_rows(found: Benchmark) -> Iterator[tuple[str, str]]:
    """Name and value of each row."""
    weights = "random" if found.against in (None, "torchvision") else "its own"
    yield "model", f"{found.model}, {found.views} views (clips x crops), {weights} weights"
    threads = f", {counted(found.threads, 'thread')}" if found.device == "cpu" else ""
    by = "" if found.engine == "torch" else f" by {found.engine}"
    yield "runs", f"{found.precision}{by} on {found.device}{threads}, torch {found.torch}"
    parts = found.decode_seconds, found.preprocess_seconds, found.model_seconds
    whole = sum(parts)
    for name, seconds in zip(("decode", "preprocess", "network"), parts, strict=True):
        yield name, f"{seconds * 1e3:9.1f} ms per video  {seconds / whole:4.0%}"
    yield "network alone", f"{found.views_per_second:9.3g} views/s"
    waited = found.wait_seconds / found.seconds
    limited = found.workers and waited > _LIMITED
    limit = f"; decoding is the limit, {waited:.0%} of the time" if limited else ""
    how = f"network beside {found.workers} decoding processes" if found.workers else "sequential"
    yield "end to end", f"{found.videos_per_second:9.3g} videos/s, {how}{limit}"
    yield (
        "arithmetic",
        f"{found.gmacs_per_view:9.1f} G multiply-adds per view, done at "
        f"{found.fraction_of_peak_matmul * found.matmul_gflops:.0f} GFLOP/s, "
        f"{found.fraction_of_peak_matmul:.0%} of the "
        f"{found.matmul_gflops:.0f} of a large matrix product here",
    )
    yield "memory", f"{found.added_bytes / 2**20:9.0f} MiB above the weights (peak)"
    if found.ratio is not None:
        yield (
            f"against {found.against}",
            f"{found.ratio:9.2f} times as fast: {(found.seconds_per_view or 0) * 1e3:.0f} against "
            f"{(found.baseline_seconds or 0) * 1e3:.0f} ms per view; logits "
            f"{found.max_abs_logit_diff:.1e} apart",
        )
