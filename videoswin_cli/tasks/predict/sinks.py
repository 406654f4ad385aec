"""Sinks of predictions: printed as they come, or into a file that a killed run can continue."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from videoswin_cli.engine.journal import Entry
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.provenance import Description, describe_settings
from videoswin_cli.engine.result_sinks import FileSink, PrintSink, ResultFile
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import ResumeError, UsageError
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.tasks import PredictOptions
from videoswin_cli.records import ListedVideo, Prediction
from videoswin_cli.report.predictions import open_report


def print_predictions(options: PredictOptions, reporter: Reporter) -> PrintSink[Prediction]:
    """Predictions on stdout or in a stream."""
    return PrintSink(open_report(options.report_format, options.out), reporter)


def write_predictions(
    out: Path, options: PredictOptions, listed: Sequence[ListedVideo], *, resume: bool
) -> FileSink[Prediction]:
    """Predictions in a file.

    Raises:
        UsageError: `resume`, and the format of the file has not all of a prediction.
    """
    if resume and options.report_format not in ("json", "jsonl"):
        raise UsageError(
            f"--resume cannot read {out} again, and --shard cannot join it",
            hint="write .json or .jsonl, which have all of a prediction",
        )

    def describe(model: LoadedModel, settings: Settings) -> Description:
        return describe_settings(
            model, settings, average=options.average, topk=options.topk, logits=options.logits
        )

    def write(predictions: Iterable[Prediction]) -> None:
        with open_report(options.report_format, out) as write_one:
            for prediction in predictions:
                write_one(prediction)

    file = ResultFile(
        out=out,
        kind=Prediction,
        describe=describe,
        write=write,
        read=lambda description: _read_entries(out, description),
    )
    return FileSink(file, listed, resume=resume)


def _read_entries(out: Path, description: Description) -> Iterator[Entry]:
    """Predictions of a finished file."""
    stamps = description.get("file_stamps", {})
    try:
        with out.open(encoding="utf-8") as file:
            is_list = file.read(1) == "["
            file.seek(0)
            for row in json.load(file) if is_list else map(json.loads, file):
                yield row | {"file_stamp": stamps.get(row["path"], "")}
    except (ValueError, KeyError, TypeError) as error:
        raise ResumeError(
            f"--resume cannot read {out}: {error}", hint="leave out --resume"
        ) from error
