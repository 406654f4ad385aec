"""What a Python program has set of its process stands after a call of videoswin as before."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from few_clips import write_few

BEFORE = """
import os, random, signal, sys, threading, time
from pathlib import Path

import numpy
import torch

torch.set_num_threads(2)
signal.signal(signal.SIGCHLD, lambda *_: None)
signal.signal(signal.SIGTERM, lambda *_: None)
torch.set_float32_matmul_precision("high")
torch.manual_seed(5)
for name in ("CUBLAS_WORKSPACE_CONFIG", "MKL_CBWR"):
    os.environ.pop(name, None)

def in_new_thread(call):
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found

def descriptors():
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return None
    found = {n: os.readlink(folder / n) for n in os.listdir(folder) if (folder / n).exists()}
    # Fonts that were drawn with stay open.
    return {n: file for n, file in found.items() if not file.endswith(".ttf")}

def state():
    backends = torch.backends
    return {
        "signals": {n: signal.getsignal(n) for n in signal.valid_signals()},
        "threads": torch.get_num_threads(),
        "threads of a new thread": in_new_thread(torch.get_num_threads),
        **{f"variable {name}": value for name, value in os.environ.items()},
        "descriptors": descriptors(),
        "streams": (sys.stdin, sys.stdout, sys.stderr, sys.unraisablehook, sys.excepthook),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "float32": (
            torch.get_float32_matmul_precision(),
            backends.cuda.matmul.allow_tf32,
            backends.cudnn.allow_tf32,
            backends.cudnn.benchmark,
            backends.cudnn.deterministic,
        ),
        "gradients": (torch.is_grad_enabled(), torch.get_default_dtype()),
        "random numbers": (
            torch.get_rng_state().tolist(), random.getstate(), str(numpy.random.get_state())
        ),
        "folder": os.getcwd(),
    }

def compare(call):
    before = state()
    call()
    for _ in range(50):  # the thread that has fed a queue of processes closes it a moment later
        after = state()
        if after == before:
            break
        time.sleep(0.1)
    return {
        name: str([before.get(name), after.get(name)])
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }
"""
CALLS = {
    "predict": "videoswin_cli.predict(clips, model=tiny, device='cpu')",
    "extract": "videoswin_cli.extract(clips, model=tiny, device='cpu', workers=1)",
    "finetune": "train(few, few / 'out', 'deterministic=true')",
}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_few(tmp_path_factory.mktemp("few"))


def run(code: str) -> str:
    """What a new process prints as its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("task", CALLS)
def test_a_call_leaves_the_process_as_it_was(task: str, few: Path) -> None:
    code = f"""{BEFORE}
import json
import videoswin_cli
from few_clips import train

few = Path({str(few)!r})
clips = [str(path) for path in sorted(few.glob("data/*/*.mp4"))]
tiny = str(few / "tiny.safetensors")
print(json.dumps(compare(lambda: {CALLS[task]})))
"""
    assert json.loads(run(code)) == {}
