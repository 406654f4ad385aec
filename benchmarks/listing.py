"""Start, resume and finish runs over a long list: seconds and peak memory of each step.

    python benchmarks/listing.py FOLDER [--videos 1000000] [--remote] [--commands extract eval ...]

FOLDER gets the case, which is kept for the next time: a list of text with labels and one as CSV,
and a thousand videos a folder. These are hard links to one sample per folder: to ask for a link
costs what it costs for a copy. `--remote` lists `s3://` addresses of objects that a server on this
machine says are there. It answers HEAD and listings, in a process of its own, on shared cores.

A run is what the command runs, in a process of its own: from the list to the first video to be
decoded, where it ends (start); the same with half of the videos in its journal (resume); with all
in its journal, to the output in its place (finish), and once more (done). Entries of the journals
are made up, in the form that the command writes. Each line has the seconds since the imports were
done, those of the CPU, and the peak of resident memory until then, pages of mapped files included.
`--profile FILE` writes where Python spends its time, too.
"""

import argparse
import cProfile
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

SAMPLE = Path(__file__).parents[1] / "samples" / "pan-left.mp4"
IN_FOLDER = 1000  # videos
CLASSES = 6  # at least so many has the bundled model
COMMANDS = ("extract", "eval", "predict", "timeline")
STEPS = ("start", "resume", "finish", "done")
OUTPUTS = {
    "extract": "feats.npy",
    "eval": "dump.jsonl",
    "predict": "rows.jsonl",
    "timeline": "times.jsonl",
}
FEATURES = 256  # numbers of a row
BUCKET = "listing"
FOLDER = re.compile(r"videos/(\d+)/")


class Reached(BaseException):
    """The first video is asked for."""


# --- the case -------------------------------------------------------------------------------------


def name_video(number: int) -> str:
    return f"videos/{number // IN_FOLDER:06d}/clip-{number % IN_FOLDER:03d}.mp4"


def make_case(folder: Path, videos: int) -> None:
    """Lists and videos, unless they are there."""
    if (folder / f"{videos}.csv").exists():
        return
    for first in range(0, videos, IN_FOLDER):
        one = folder / name_video(first)
        one.parent.mkdir(parents=True, exist_ok=True)
        if not one.exists():
            one.write_bytes(SAMPLE.read_bytes())
        for number in range(first + 1, min(first + IN_FOLDER, videos)):
            with suppress(FileExistsError):
                (folder / name_video(number)).hardlink_to(one)
    rows = [(name_video(number), number % CLASSES) for number in range(videos)]
    for start, name in (("", "txt"), (f"s3://{BUCKET}/", "s3.txt")):
        text = "".join(f"{start}{path} {label}\n" for path, label in rows)
        (folder / f"{videos}.{name}").write_text(text, encoding="utf-8")
    lines = (f"{path},{label}\n" for path, label in rows)
    (folder / f"{videos}.csv").write_text(f"path,label\n{''.join(lines)}", encoding="utf-8")


# --- the storage service --------------------------------------------------------------------------


class Bucket(BaseHTTPRequestHandler):
    """Objects that are not there: their facts, page by page or one by one."""

    protocol_version = "HTTP/1.1"
    videos = 0
    asked: ClassVar = {"HEAD": 0, "GET": 0}

    def do_HEAD(self) -> None:
        self.asked["HEAD"] += 1
        self.send_response(200)
        self.send_header("ETag", '"0123456789abcdef0123456789abcdef"')
        self.send_header("Last-Modified", "Fri, 27 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", "65536")
        self.end_headers()

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "asked" in asked:
            return self.answer(json.dumps(self.asked).encode())
        self.asked["GET"] += 1
        prefix = unquote(asked.get("prefix", [""])[0])
        whole = FOLDER.match(prefix)
        begun = int(whole[1]) * IN_FOLDER if whole else 0
        first = int(asked.get("continuation-token", [begun])[0])
        keys = []
        for number in range(first, self.videos):
            key = name_video(number)
            if key.startswith(prefix):
                keys.append(key)
            elif keys:
                break
            if len(keys) == IN_FOLDER:
                break
        last = int(keys[-1][7:13]) * IN_FOLDER + int(keys[-1][-7:-4]) if keys else 0
        more = len(keys) == IN_FOLDER and last + 1 < self.videos
        more = more and name_video(last + 1).startswith(prefix)
        token = f"<NextContinuationToken>{last + 1}</NextContinuationToken>" if more else ""
        contents = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-11-27T00:00:00.000Z</LastModified>"
            "<ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>65536</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys
        )
        return self.answer(
            "<?xml version='1.0'?><ListBucketResult><IsTruncated>"
            f"{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>".encode()
        )

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(videos: int) -> None:
    Bucket.videos = videos
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    print(server.server_port, flush=True)
    server.serve_forever()


# --- one run --------------------------------------------------------------------------------------


class Steps:
    """A reporter that prints every message with the seconds and the memory until then."""

    def __init__(self) -> None:
        self.begun, self.cpu = time.perf_counter(), time.process_time()

    def say(self, text: str) -> None:
        peak, cpu = (
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
            time.process_time() - self.cpu,
        )
        wall = time.perf_counter() - self.begun
        print(f"    {wall:7.1f} s {cpu:7.1f} CPU s {peak:5.2f} GB  {text[:80]}", flush=True)

    notice = say

    def start(self, total: int, *, unit: str, done: int = 0) -> None:
        self.say(f"{total} {unit}s are to be computed")

    def advance(self, *, failed: bool = False, status: str = "") -> None:
        pass

    def show(self, text: str) -> None:
        pass

    def printing(self) -> AbstractContextManager[object]:
        return nullcontext()


def stop_at_first_video() -> None:
    from videoswin_cli.data.view_dataset import ViewDataset
    from videoswin_cli.data.window_dataset import WindowDataset

    def reach(*_: object) -> Any:
        raise Reached

    for kind, name in ((ViewDataset, "__getitem__"), (WindowDataset, "stream")):
        setattr(kind, name, reach)


def run(command: str, list_file: Path, root: Path, out: Path, steps: Steps) -> None:
    """What a command runs."""
    from videoswin_cli.data.inputs import find_inputs
    from videoswin_cli.model.loading import find_chosen
    from videoswin_cli.options.run import ModelOptions, RunOptions
    from videoswin_cli.options.source import JobOptions, SourceOptions

    source = SourceOptions(list_file=list_file, root=root)
    options, job = RunOptions(workers=0, engine="torch"), JobOptions(resume=True)
    model = find_chosen(ModelOptions(model="camera-motion"), with_head=command != "extract")
    if command == "eval":
        from videoswin_cli.options.tasks import EvalOptions
        from videoswin_cli.tasks.evaluate.evaluate import evaluate_videos

        evaluate_videos([], source, model, options, EvalOptions(dump=out), job, steps)
        return
    found = find_inputs([], source)
    for text in found.notices:
        steps.say(text)
    if command == "extract":
        from videoswin_cli.options.tasks import FeatureOptions
        from videoswin_cli.tasks.extract.extract import extract_to_files
        from videoswin_cli.tasks.extract.output import parse_output

        output = parse_output(str(out))
        extract_to_files(found.listed, output, model, options, FeatureOptions(), job, steps)
        return
    if command == "predict":
        from videoswin_cli.options.source import ShardOptions
        from videoswin_cli.options.tasks import PredictOptions
        from videoswin_cli.tasks.predict.predict import predict_videos

        shard = ShardOptions(resume=True)
        predict_videos(found.listed, model, options, PredictOptions(out=out), shard, steps)
        return
    from videoswin_cli.options.timeline import SegmentOptions, TimelineOutput
    from videoswin_cli.tasks.timeline.timeline import see_videos

    output_options = TimelineOutput(out=str(out))
    see_videos(found.listed, model, options, SegmentOptions(), output_options, job, steps)


def run_here(asked: argparse.Namespace) -> None:
    stop_at_first_video()
    list_file = asked.folder / f"{asked.videos}.{asked.list}"
    out = asked.folder / OUTPUTS[asked.one]
    import torch  # noqa: F401 - beforehand

    steps = Steps()
    profile = cProfile.Profile() if asked.profile else nullcontext()
    with suppress(Reached), profile:
        run(asked.one, list_file, asked.folder, out, steps)
    steps.say("end of the step")
    if asked.profile:
        profile.dump_stats(asked.profile)


# --- journals -------------------------------------------------------------------------------------


def make_entries(command: str, numbers: range, start: str) -> Iterator[dict[str, Any]]:
    """Entries as the command writes them."""
    for number in numbers:
        path = f"{start}{name_video(number)}"
        entry: dict[str, Any] = {"path": path, "error": None, "notes": [], "file_stamp": ""}
        if command == "extract":
            times = [[0.0, 2.1333333333333333]]
            yield entry | {"decoder": "pyav", "times": times, "first": number, "gaps": []}
        elif command == "eval":
            top = [{"index": n, "prob": 0.123456789} for n in range(CLASSES)]
            label = {"label": number % CLASSES, "more_labels": [], "decoder": "pyav"}
            yield entry | label | {"top": top}
        elif command == "predict":
            entry |= {"model": "camera-motion", "views": "1x1", "decoder": "pyav"}
            entry |= {"frames": 250, "fps": 25.0, "frame_rate": 15.0}
            score = {"label": "pan-left", "index": 1, "prob": 0.123456789}
            yield entry | {"top": [score] * 5, "logits": None}
        else:
            segment = {"start": 0.5, "end": 1.5, "label": "pan-left", "index": 1}
            facts = {"model": "camera-motion", "video": path, "fps": 25.0, "start": 0.0}
            facts |= {"duration": 10.0, "window": 1.28, "stride": 0.64}
            facts |= {"segments": [segment | {"mean": 0.9, "peak": 0.99}] * 2}
            yield entry | facts | {"gaps": [], "windows": []}


def add_entries(folder: Path, command: str, numbers: range, start: str) -> None:
    """Add to the journal of a run that was begun, and rows to its matrix."""
    from videoswin_cli.engine.file_stamps import read_stamp

    part = folder / f"{OUTPUTS[command]}.part"
    with (part / "1-of-1.jsonl").open("a", encoding="utf-8") as file:
        for entry in make_entries(command, numbers, start):
            stamp = '"0123"' if start else read_stamp(str(folder / entry["path"]))
            file.write(json.dumps(entry | {"file_stamp": "" if start else stamp}) + "\n")
    if command == "extract":
        with (part / "1-of-1.rows").open("ab") as rows:
            rows.truncate(numbers.stop * FEATURES * 4)


def remove(folder: Path, command: str) -> None:
    import shutil

    name = OUTPUTS[command]
    shutil.rmtree(folder / f"{name}.part", ignore_errors=True)
    stem = Path(name).stem
    for other in (name, f"{name}.meta.json", f"{stem}.meta.json", f"{stem}.index.csv"):
        (folder / other).unlink(missing_ok=True)


# --- all of it ------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--commands", nargs="+", default=COMMANDS, choices=COMMANDS)
    parser.add_argument("--steps", nargs="+", default=STEPS, choices=STEPS)
    parser.add_argument("--remote", action="store_true")
    parser.add_argument("--list", default="txt", choices=["txt", "csv", "s3.txt"])
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.folder = asked.folder.resolve()
    if asked.serve:
        serve(asked.videos)
        return
    if asked.one:
        run_here(asked)
        return
    make_case(asked.folder, asked.videos)
    with server_of(asked) as environment:
        for command in asked.commands:
            measure(command, asked, environment)


def measure(command: str, asked: argparse.Namespace, environment: dict[str, str]) -> None:
    start = f"s3://{BUCKET}/" if asked.remote else ""
    line = [sys.executable, __file__, str(asked.folder), "--videos", str(asked.videos)]
    line += ["--list", "s3.txt" if asked.remote else asked.list, "--one", command]
    half = asked.videos // 2
    before: dict[str, Callable[[], None]] = {
        "start": lambda: remove(asked.folder, command),
        "resume": lambda: add_entries(asked.folder, command, range(half), start),
        "finish": lambda: add_entries(asked.folder, command, range(half, asked.videos), start),
    }
    for step in asked.steps:
        before.get(step, lambda: None)()
        profile = ["--profile", f"{asked.profile}.{command}.{step}"] if asked.profile else []
        print(f"{command}, {asked.videos} videos, {step}:", flush=True)
        subprocess.run([*line, *profile], check=True, env=os.environ | environment)
        if asked.remote:
            print(f"    requests until now: {count_requests(environment)}", flush=True)


def count_requests(environment: dict[str, str]) -> str:
    from urllib.request import urlopen

    with urlopen(f"{environment['AWS_ENDPOINT_URL']}/?asked=1") as reply:
        return str(reply.read().decode())


class server_of:  # noqa: N801
    """The storage service, where it is asked for, and the variables that lead to it."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self._asked = asked
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> dict[str, str]:
        if not self._asked.remote:
            return {}
        line = [sys.executable, __file__, ".", "--serve", "--videos", str(self._asked.videos)]
        self._process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        return {
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


if __name__ == "__main__":
    main()
