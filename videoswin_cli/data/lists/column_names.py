"""Names of columns and of keys of JSON objects, by what they mean.

As `fold_column` has them: case, blanks, `_` and `-` do not matter. Those of one meaning stand in
order of preference.
"""

NAMES = (
    *("path", "videopath", "filepath", "relativepath", "clippath", "filename", "file"),
    *("videofile", "video", "videoname", "vidname", "clipname", "youtubeid", "videoid", "clipid"),
    *("id", "name", "clip", "imgpath"),
)
LABELS = (  # beside a name, a bare `label` may be a number of another kind (HACS: 1 or -1)
    *("labelindex", "labelid", "labelidx", "classindex", "classid", "classidx", "actionid"),
    *("target", "gtlabel", "template", "classname", "labelname", "actionname", "label", "class"),
    *("classlabel", "category", "action", "labels", "groundtruth"),
)
SPLITS = ("split", "subset", "partition")

STARTS = (  # in seconds, as are ENDS and PAIRS
    *("timestart", "start", "starttime", "startsec", "startsecs", "startsecond", "startseconds"),
    *("starttimestamp", "tstart", "begin", "begintime", "segmentstart", "clipstart", "starts"),
    *("starttimes", "starttimesec", "starttimeseconds"),
)
ENDS = (
    *("timeend", "end", "endtime", "endsec", "endsecs", "endsecond", "endseconds", "endtimestamp"),
    *("stop", "stoptime", "stopsec", "stopsecs", "stopseconds", "stoptimestamp", "timestop"),
    *("tend", "tstop", "segmentend", "clipend", "ends", "endtimes", "endtimesec", "endtimeseconds"),
)
PAIRS = ("segment", "timestamps")  # [start, end]
FRAME_STARTS = ("startframe", "framestart", "beginframe")
FRAME_ENDS = ("endframe", "stopframe", "frameend", "framestop")
SUPPORTS = ("support",)  # [first, last] frame, counted from 1, as FiftyOne has it

LENGTHS = (  # beside a start without an end: of the part, or of the whole video
    *("duration", "durationsec", "durationseconds", "durations", "length", "lengthsec"),
    *("lengthseconds", "numframes", "nframes", "framecount", "totalframes", "frames", "count"),
)
FRAME_COUNTS = ("totalframes", "numframes", "nframes", "framecount")  # of the whole video
THOUSANDTHS = ("ms", "msec", "msecs", "millis", "millisecond", "milliseconds")
INDICES = ("", "index", "unnamed0")  # of the rows, as pandas writes them

_MEANINGS = (
    *(NAMES, LABELS, SPLITS, STARTS, ENDS, PAIRS),
    *(FRAME_STARTS, FRAME_ENDS, SUPPORTS),
)
KNOWN = frozenset(name for names in _MEANINGS for name in names)
