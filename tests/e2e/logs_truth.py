"""Logs from the generator of fixtures, and what is true of them.

The truth of most numbers is in the generator's truth.json. What it has not (replies by day) is counted by
the fixtures' second reader, which shares no code with Penstock or the generator.
"""
import collections
import datetime
import json
import pathlib
import subprocess

FIXTURES = pathlib.Path(__file__).resolve().parents[3] / "shared" / "fixtures"
GENERATOR = FIXTURES / "gen-logs"

# Each format with what makes its logs hard.
VARIANTS = [
    ("exchange-send", 1, ()),
    ("exchange-send", 2, ("--single", "--bom", "all", "--damage", "--reply-joined")),
    ("exchange-send", 3, ("--rotate", "500000", "--bom", "some")),
    ("exchange-recv", 1, ("--reply-rows",)),
    ("exchange-recv", 2, ("--days", "1", "--single", "--bom", "all", "--rotate", "500000", "--damage")),
    ("exchange-track", 1, ()),
    ("exchange-track", 2, ("--single", "--bom", "all", "--rotate", "900000", "--damage")),
    ("exchange-track", 3, ("--new-schema",)),
    ("exchange-conn", 1, ()),
    ("exchange-conn", 2, ("--single", "--damage", "--rotate", "300000")),
    ("postfix", 1, ()),
    ("postfix", 2, ("--iso", "--damage")),
    ("postfix", 3, ("--rotate", "none", "--start", "2025-12-29")),
    ("exim", 1, ()),
    ("exim", 2, ("--damage", "--rotate", "none", "--crlf")),
    ("pmta", 1, ()),
    ("pmta", 2, ("--single", "--damage")),
    ("kumomta", 1, ()),
    ("kumomta", 2, ("--damage", "--rotate", "none")),
    ("haraka", 1, ()),
    ("haraka", 2, ("--damage", "--rotate", "none")),
]


class Logs:
    def __init__(self, folder):
        self.folder = folder
        self.truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        self.files = [str(folder / file["name"]) for file in self.truth["files"]]
        self.format = self.truth["format"]
        # Stamps may be finer than the truth is.
        self.has_milliseconds = bool(self.truth["args"].get("iso"))


def generate(folder, form, seed, options, rows="20k"):
    subprocess.run([GENERATOR, form, "--rows", rows, "--seed", str(seed), "--out", folder, *options],
                   check=True, capture_output=True)
    return Logs(folder)


def milliseconds(stamp):
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in stamp else "%Y-%m-%dT%H:%M:%SZ"
    parsed = datetime.datetime.strptime(stamp, form).replace(tzinfo=datetime.timezone.utc)
    return round(parsed.timestamp() * 1000)


def second_reader(logs):
    """The fixtures' second reader, run over the logs: (replies by (day, status), its counts)."""
    source = (FIXTURES / "check-logs").read_text(encoding="utf-8")
    reader = {"__name__": "second_reader"}
    exec(compile(source.removesuffix("main()\n"), "check-logs", "exec"), reader)  # pylint: disable=exec-used
    by_day = collections.Counter()

    class Counting(reader["Stat"]):
        def reply(self, t, r, own):
            by_day[t[:10], r[0], r[1] or None] += 1
            super().reply(t, r, own)

    stat = Counting()
    folder = str(logs.folder)
    if logs.format in ("exchange-recv", "exchange-send"):
        reader["protocol"](folder, logs.truth, stat, logs.format == "exchange-send")
    else:
        names = {"exchange-track": "tracking", "exchange-conn": "connectivity"}
        reader[names.get(logs.format, logs.format)](folder, logs.truth, stat)
    return by_day, stat
