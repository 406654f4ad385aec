"""Annotation lists: which videos, and the class and part of each. The only parser of them."""

from videoswin_cli.data.lists.labels import number_labels, question_labels
from videoswin_cli.data.lists.reading import check_list, read_list
from videoswin_cli.data.lists.rows import LIST_FORMATS, ListRow, VideoList
from videoswin_cli.options.source import ListFormat

__all__ = [
    "LIST_FORMATS",
    "ListFormat",
    "ListRow",
    "VideoList",
    "check_list",
    "number_labels",
    "question_labels",
    "read_list",
]
