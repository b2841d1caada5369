"""`penstock logs` on a terminal: how far it is, and tables that fit."""
import os
import pathlib
import re
import signal

import pytest

from harness import run_tool, wait_until
from logs_truth import GENERATOR, generate

pytestmark = pytest.mark.skipif(not GENERATOR.exists(), reason=f"there is no generator of logs: {GENERATOR}")

ERASE = "\r\033[K"


@pytest.fixture(scope="module")
def postfix(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("postfix"), "postfix", 1, ("--rotate", "none",))


@pytest.fixture
def waiting(postfix, terminal):
    """waiting(): reads standard input until the terminal tells how fast; (terminal, what writes to it)."""
    log = pathlib.Path(postfix.files[0]).read_bytes()
    writers = []

    def make(**options):
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as stdin:
            shown = terminal("logs", "status", "--tz", "UTC", "-", stdin=stdin, **options)
        writers.append(os.fdopen(writer, "wb"))

        def feed():
            writers[-1].write(log)
            writers[-1].flush()
            return "rows/s" in shown.read(0)

        wait_until(feed, "the rate on the terminal")
        return shown, writers[-1]

    yield make
    for each in writers:
        try:
            each.close()
        except BrokenPipeError:
            pass


@pytest.mark.parametrize("columns", [100, 24])
def test_rate_of_a_stream(waiting, columns):
    shown, writer = waiting(columns=columns)
    writer.close()
    assert shown.read_to_end() == 0
    first, *frames = shown.text.split(ERASE)
    assert first == ""
    assert frames[-1].startswith("\033[1mReplies by status"), "the line is erased before the report"
    assert len(frames) > 1
    for frame in frames[:-1]:
        assert "\n" not in frame and len(frame) < columns
        assert frame == "" or " MB" in frame
    assert "rows/s" in shown.text and "left" not in "".join(frames[:-1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_erases_it(waiting, number):
    shown, _ = waiting()
    shown.process.send_signal(number)
    assert shown.read_to_end() == -number
    assert shown.text.endswith(ERASE)


# ---- tables ----

@pytest.fixture(scope="module", params=["postfix", "exchange-send"])
def logs(request, tmp_path_factory, postfix):
    if request.param == "postfix":
        return postfix
    return generate(tmp_path_factory.mktemp(request.param), request.param, 1, ())


REPORTS = [("status",), ("status", "--by", "domain", "--class", "all"), ("daily",), ("daily", "--class", "all"), ("hourly",), ("capacity",),
           ("delivery",), ("blame",), ("top",), ("trace", "gee.example"), ("query", "SELECT * FROM logs LIMIT 5"),
           ("query", "SELECT provider, class, count(*) AS hits FROM logs GROUP BY 1, 2")]


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("report", REPORTS, ids=" ".join)
def test_tables_fit(logs, terminal, monkeypatch, report, columns):
    monkeypatch.chdir(pathlib.Path(logs.files[0]).parent)  # notes name files: short names
    files = [pathlib.Path(file).name for file in logs.files]
    arguments = ("logs", *report, "--tz", "UTC", "-n", "20", *files)
    shown = terminal(*arguments, columns=columns, env={"LC_ALL": "C.UTF-8"})
    assert shown.read_to_end() == 0, shown.text
    text = re.sub("\033\\[[0-9;]*m", "", shown.text.split(ERASE)[-1])
    assert [line for line in text.split("\r\n") if len(line) > columns] == []
    piped = run_tool(*arguments, check=0).stdout
    assert "a wider terminal" not in piped
    # A table at a time: each column is there, or told to be not.
    told = re.findall(r"\bcolumns? (.*?) left out: --json", " ".join(text.split()))
    left_out = told[0].split(", ") if told else []
    on_terminal = titles(text.replace("\r\n", "\n"), report[0])
    assert len(on_terminal) > 0
    for full, shown in zip(titles(piped, report[0]), on_terminal, strict=True):
        for title in shown:
            assert any(title == whole or (title[-1] == "~" and whole.startswith(title[:-1])) for whole in full)
        cut = tuple(title[:-1] for title in shown if title[-1] == "~")
        assert {title for title in set(full) - set(shown) if not title.startswith(cut)} <= set(left_out)


def titles(text, report):
    """Of each table its columns. Between tables there is an empty line, between titles are two blanks."""
    tables = text.strip("\n").split("\n\n")
    lines = [tables[0].split("\n")[0]] if report == "query" else [table.split("\n")[1] for table in tables[:-1]]
    return [re.split(" {2,}", line.strip()) for line in lines]


def test_sparks_are_ascii_where_the_terminal_is(logs, terminal):
    shown = terminal("logs", "daily", "--tz", "UTC", *logs.files, env={"LC_ALL": "C"})
    assert shown.read_to_end() == 0
    assert shown.text.isascii()
    assert "@" in shown.text
    assert "█" in run_tool("logs", "daily", "--tz", "UTC", *logs.files, check=0, env={"LC_ALL": "C"}).stdout
