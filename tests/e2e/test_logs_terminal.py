"""`penstock logs` on a terminal: how far it is."""
import os
import pathlib
import signal
import subprocess

import pytest

from harness import wait_until
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

