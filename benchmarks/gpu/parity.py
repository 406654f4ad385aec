"""Golden cases of the official code on the device, in every precision."""

import math
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.report import Value
from benchmarks.gpu.section import Bench, import_tests
from videoswin_cli.engine.forward import prepare
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.options.run import Precision

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
FULL_BOUND = 5e-5  # of a logit in float32, as in tests/model/test_inference_plan.py
HALF_BOUND = 0.1  # of the logits' standard deviation in the others
SMALL = 100_000  # numbers of a clip in a rehearsal


def measure(bench: Bench) -> None:
    import_tests()
    from golden_forward import CASES, read_golden

    golden = read_golden()
    for case, entry in CASES.items():
        if bench.tiny and math.prod(entry["input_shape"]) > SMALL:
            continue
        for precision in PRECISIONS:
            bench.row(f"{case} {precision}", partial(hold, bench, case, entry, precision, golden))


def hold(
    bench: Bench, case: str, entry: Any, precision: Precision, golden: dict[str, np.ndarray]
) -> dict[str, Value]:
    """Logits and features against the official code's."""
    from formula import formula_input
    from golden_forward import formula_network, worst

    runtime = bench.runtime(precision)
    network = prepare(formula_network(entry["architecture"], torch.float32), runtime)
    clips = formula_input(entry["input_shape"]).to(runtime.device, runtime.dtype)
    with torch.inference_mode(), full_float32():
        logits = network(clips).float().cpu()
        features = network.forward_features(clips).float().cpu()
    exact = golden[f"{case}/logits_f64"]
    expected = golden[f"{case}/logits_f32"] if precision == "fp32" else exact
    bound = FULL_BOUND if precision == "fp32" else HALF_BOUND * float(exact.std())
    off = worst(logits, expected)
    at = golden[f"{case}/features_idx"].astype(np.int64)
    return {
        "apart": off,
        "bound": bound,
        "holds": off < bound,
        "features_apart": worst(features.flatten()[at], golden[f"{case}/features_f64"]),
        "same_class": bool((logits.numpy().argmax(1) == exact.argmax(1)).all()),
    }
