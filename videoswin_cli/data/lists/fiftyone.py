"""Labels as FiftyOne writes them: one, several, or one for each part of a video."""

from collections.abc import Iterator, Mapping
from typing import Any

from videoswin_cli.data.lists import column_names
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.delimited import fold_column

_LISTS = ("detections", "classifications")
_OF_A_LABEL = ("label", "support", "timestamps", "bounding_box")  # `id` and `tags` are its own


def expand_labels(item: Mapping[str, Any], where: str) -> Iterator[Mapping[str, Any]]:
    """A sample with its label under `label`, once for each part that has one.

    Users choose the name of the field: it is the one whose value has labels inside.

    Raises:
        DatasetError: several fields have, and none is called like a class.
    """
    fields = [key for key, value in item.items() if _labels_in(value) is not None]
    if len(fields) > 1:
        usual = [key for key in fields if fold_column(key) in column_names.LABELS]
        if len(usual) != 1:
            raise DatasetError(
                f"{where}: several fields of the sample hold labels: {', '.join(fields[:5])}",
                hint="export the field that is the class alone (FiftyOne's label_field)",
            )
        fields = usual
    named = any(fold_column(key) in column_names.LABELS for key in item)
    if not fields or (named and fold_column(fields[0]) not in column_names.LABELS):
        yield item
        return
    rest = {key: value for key, value in item.items() if key != fields[0]}
    for label in _labels_in(item[fields[0]]) or [{}]:
        yield {**rest, **{key: label[key] for key in _OF_A_LABEL if key in label}}


def _labels_in(value: Any) -> list[Mapping[str, Any]] | None:
    """The labels of a field; None where it holds none."""
    if not isinstance(value, dict):
        return None
    if "label" in value:
        return [value]
    for key in _LISTS:
        found = value.get(key)
        if isinstance(found, list) and all(isinstance(each, dict) for each in found):
            if key == "classifications":
                return [{"label": [each.get("label") for each in found]}] if found else []
            return found
    return None
