"""Days on which all clients of the world come at once: bounded memory and descriptors, control
that answers, and mail of others that flows."""
import contextlib
import fcntl
import os
import pathlib
import re
import threading
import time

import pytest

import crowd
import harness
from harness import Raw, message, wait_until
from test_control import get

CONTROL_SECONDS = 1.0 if not harness.SANITIZED else 10.0  # what the control socket is promised to take
KIB = 1024


def scaled(count, sanitized):
    """Sanitizers make each session larger and slower."""
    return sanitized if harness.SANITIZED else count


def anonymous_bytes(server):
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"^RssAnon:\s+(\d+)", text, re.MULTILINE).group(1)) * KIB


def sockets(server):
    """Descriptors of connections. Files it opens as it goes: segments, logs."""
    folder = f"/proc/{server.process.pid}/fd"
    count = 0
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"{folder}/{name}").startswith("socket:")
    return count


FILES_MAX = 100  # open ones that are no sockets


def waited_for_cpu(task):
    """Seconds that a thread could run and the machine did not let it; 0 where the kernel does not tell."""
    with contextlib.suppress(OSError, IndexError):
        return int(pathlib.Path(f"/proc/{task}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


class Watch:
    """Beside a test: asks the control socket again and again, and sends a mail every now and then. What it takes is
    the server's time: that in which the machine runs neither the asked thread nor ours is not."""

    def __init__(self, server):
        self.server = server
        self.slowest, self.asked, self.sent, self.refused, self.memory_peak = 0.0, 0, 0, 0, 0
        self.failure = None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.ending.wait(0.05):
                started = time.monotonic() - self.late()
                get(self.server, "/v1/status")
                self.slowest = max(self.slowest, time.monotonic() - self.late() - started)
                self.asked += 1
                self.memory_peak = max(self.memory_peak, anonymous_bytes(self.server))
                if self.asked % 5 == 1:
                    self.send()
        except (AssertionError, OSError) as failure:
            self.failure = failure

    def late(self):
        """The control socket's thread is the first."""
        return waited_for_cpu(f"{self.server.process.pid}/task/{self.server.process.pid}") + waited_for_cpu("thread-self")

    def send(self):
        """A mail, or the 421 that says that there is no room for one more session."""
        with Raw(self.server, greet=False) as raw:
            greeting = raw.code()
            if greeting == 421:
                self.refused += 1
                return
            assert greeting == 220 and raw.code(b"EHLO other.test\r\n") == 250
            assert raw.transaction(message(X_Seq=self.sent)) == 250
        self.sent += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()

    def judge(self, may_refuse=False):
        assert self.failure is None, self.failure
        assert self.asked > 0 and self.sent > 0
        assert may_refuse or self.refused == 0
        assert self.slowest <= CONTROL_SECONDS, f"the control socket took {self.slowest:.2f} s"


def settled(server, remote, watch, count_before):
    """All that was sent arrives, and all descriptors come back."""
    wait_until(lambda: len(remote.mails) >= watch.sent, f"{watch.sent} mails of others")
    wait_until(lambda: sockets(server) <= count_before + 8, "descriptors to be given back")
    assert len(os.listdir(f"/proc/{server.process.pid}/fd")) <= count_before + FILES_MAX


# ---- many sessions ----

def test_ten_thousand_open_sessions(busy_server, remote, record_property):
    count = scaled(10000, 1000)
    if crowd.raise_file_limit(20000) < count + 500:
        pytest.skip(f"no {count} descriptors here")
    server = busy_server()
    memory, files = anonymous_bytes(server), sockets(server)
    with Watch(server) as watch, crowd.Crowd("hold", server, count, 3) as clients:
        opened = clients.answer()
        assert opened["greeted"] + opened["refused_421"] == count, opened
        assert opened["greeted"] >= count * 0.95, opened
        each = (anonymous_bytes(server) - memory) / opened["greeted"] / KIB
        record_property("KiB a session", round(each, 1))
        assert sockets(server) <= files + opened["greeted"] + 64
        asked = clients.ask("noop")
        assert asked["250"] == opened["greeted"], asked
    watch.judge(may_refuse=True)
    settled(server, remote, watch, files)
    if not harness.SANITIZED:
        assert each <= 32, f"{each:.1f} KiB a session"


def test_more_sessions_than_allowed_are_told_so(busy_server, remote):
    server = busy_server(smtp={"connections_max": 300})
    files = sockets(server)
    with crowd.Crowd("hold", server, 1000, 2) as clients:
        opened = clients.answer()
        assert opened["greeted"] == 300 and opened["refused_421"] == 700, opened
        assert clients.ask("noop")["250"] == 300
    wait_until(lambda: sockets(server) <= files + 4, "descriptors to be given back")
    with Raw(server) as raw:
        assert raw.transaction(message()) == 250
    remote.wait_mails(1)


def test_a_hundred_thousand_connects_in_a_row(busy_server, remote):
    count = scaled(100000, 10000)
    server = busy_server()
    with crowd.Crowd("storm", server, 2000, 2) as clients:  # so that pools and arenas have their size
        clients.answer()
    wait_until(lambda: get(server, "/v1/status")["counters"]["connections_in"] >= 900, "the first to be seen")
    memory, files = anonymous_bytes(server), sockets(server)
    with Watch(server) as watch, crowd.Crowd("storm", server, count, 2) as clients:
        done = clients.answer()
    assert done["failed"] == 0, done
    watch.judge()
    settled(server, remote, watch, files)
    if not harness.SANITIZED:
        growth = watch.memory_peak - memory
        assert growth <= 48 * KIB * KIB, f"{growth / KIB:.0f} KiB more while they came"
        left = anonymous_bytes(server) - memory
        assert left <= 16 * KIB * KIB, f"{left / KIB:.0f} KiB are kept"


# ---- slow and silent ones ----

def test_sessions_that_send_a_byte_a_second(busy_server, remote):
    count = scaled(1000, 200)
    server = busy_server(smtp={"time_outs": {"command": "8s", "message": "8s"}})
    memory, files = anonymous_bytes(server), sockets(server)
    with Watch(server) as watch, crowd.Crowd("drip", server, count, 2, seconds=harness.PATIENCE) as clients:
        assert clients.answer()["greeted"] == count
        done = clients.answer()
        growth = anonymous_bytes(server) - memory
    assert done["left"] == 0 and done["421"] == count, done
    watch.judge()
    settled(server, remote, watch, files)
    if not harness.SANITIZED:
        assert growth <= count * 64 * KIB, f"{growth / count / KIB:.1f} KiB a session"


def test_sessions_that_never_read_replies(busy_server, remote):
    """What they are not told is bounded; who lets it grow is let go."""
    count = scaled(300, 60)
    server = busy_server()
    memory, files = anonymous_bytes(server), sockets(server)
    with Watch(server) as watch, crowd.Crowd("deaf", server, count, 2, seconds=8) as clients:
        assert clients.answer()["greeted"] == count
        done = clients.answer()
        watch_peak = watch.memory_peak - memory
    watch.judge()
    settled(server, remote, watch, files)
    assert done["bytes"] > count * 1000, done
    if not harness.SANITIZED:
        assert watch_peak <= count * 416 * KIB, f"{watch_peak / count / KIB:.1f} KiB a session"


# ---- logs that nobody takes ----

def test_a_log_that_nobody_reads(make_server, remote, tmp_path):
    """Standard error is a pipe that stays full: mail flows, lines are dropped and counted, and it ends in time."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)  # without a reader it could not be opened
    try:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        server = make_server(delivery={"smart_host": remote.address})
        server.start(wrapper=["bash", "-c", f'exec "$@" 2>"{pipe}"', "bash"])
        sent = 0
        with Raw(server) as raw:
            while sent < 200 or get(server, "/v1/status")["counters"]["log_dropped"] == 0:
                assert sent < 20000, "nothing is dropped, or it is not counted"
                assert raw.transaction(message(X_Seq=sent)) == 250
                sent += 1
            # The log files do not wait for that reader.
            marker = "of-the-full-pipe@sender.test"
            assert raw.transaction(message(X_Seq=sent), sender=marker.encode()) == 250
        logs = server.folder / "var" / "log"
        wait_until(lambda: any(marker in path.read_text() for path in logs.glob("receive/RECV*.log")), "the protocol log")
        wait_until(lambda: len(remote.mails) > sent, "all mails")
        server.wait_queue_length(0)
        server.stop()
    finally:
        os.close(reader)
