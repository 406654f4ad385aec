"""Load a server of the bundled model: uploads of several clients, none lost, memory flat.

    python benchmarks/serve.py [--uploads 200] [--clients 16]

The same clip goes to `/predict` again and again. For comparison one `predict` process reads as many
copies of it; loading the model counts for neither.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

CLIP = Path(__file__).parents[1] / "samples" / "pan-left.mp4"
COMMAND = (sys.executable, "-m", "videoswin_cli")
MODEL = ("--model", "camera-motion")


def start() -> tuple["subprocess.Popen[str]", str]:
    """A server, and its address."""
    server = subprocess.Popen(
        [*COMMAND, "serve", *MODEL, "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://\S+", line):
            return server, found[0].rstrip("/")
    raise SystemExit("the server did not start")


def read_memory(url: str) -> float:
    """Resident memory of the server, MB."""
    text = requests.get(f"{url}/metrics", timeout=60).text
    found = re.search(r"^process_resident_memory_bytes (\S+)", text, re.MULTILINE)
    return float(found[1]) / 1e6 if found else 0.0


def load(url: str, uploads: int, clients: int) -> tuple[list[str], float]:
    """Distinct answers, and seconds of all uploads."""
    content = CLIP.read_bytes()

    def send(_: int) -> str:
        files = {"file": (CLIP.name, content)}
        reply = requests.post(f"{url}/predict", files=files, timeout=600)
        return f"{reply.status_code} {reply.text}"

    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(send, range(uploads)))
    return answers, time.perf_counter() - begun


def predict(videos: int) -> float:
    """Seconds of one process for copies of the clip, without its start."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(videos):
            shutil.copy(CLIP, folder / f"{number}.mp4")
        seconds = []
        for source in (folder / "0.mp4", folder):
            begun = time.perf_counter()
            out = ("--format", "jsonl", "--out", str(folder.with_suffix(".jsonl")))
            subprocess.run([*COMMAND, "predict", str(source), *MODEL, *out, "-q"], check=True)
            seconds.append(time.perf_counter() - begun)
            folder.with_suffix(".jsonl").unlink()
    return seconds[1] - seconds[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    server, url = start()
    try:
        load(url, options.clients, options.clients)  # warm
        before = read_memory(url)
        for turn in range(3):
            answers, seconds = load(url, options.uploads, options.clients)
            good = sum(answer.startswith("200 ") for answer in answers)
            print(
                f"turn {turn + 1}: {good} of {len(answers)} answered, "
                f"{len(set(answers))} distinct, "
                f"{len(answers) / seconds:.1f} per second, memory {read_memory(url):.0f} MB "
                f"(before: {before:.0f})"
            )
    finally:
        server.terminate()
        print(f"exit code {server.wait()}")
    rate = (options.uploads - 1) / predict(options.uploads)
    print(f"one predict process: {rate:.1f} videos per second")


if __name__ == "__main__":
    main()
