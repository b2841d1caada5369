"""What is hostile besides clients and hosts, while mail flows: floods of the control socket, kills at the
worst level, logs that vanish or hang, settings that flap, memory that comes and goes, clients with a network each."""
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest

import harness
from harness import BINARY, HOST, Raw, message, run_tool, wait_until
from test_bad_days import anonymous_bytes, sockets
from test_control import get

KIB, MIB = 1 << 10, 1 << 20


class Flow:
    """Mail from `penstock load` through a server into `penstock sink`; what was promised and what came are written
    down."""

    def __init__(self, folder):
        self.folder = folder
        self.seen, self.acknowledged = folder / "seen", folder / "acknowledged"
        host = harness.new_host()
        self.address = f"{host}:{harness.free_port(host)}"
        self.sink = self.load = None

    def start(self, *arguments):
        return subprocess.Popen([str(BINARY), *map(str, arguments)], text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def open_sink(self):
        self.sink = self.start("sink", "--listen", self.address, "--seq-log", self.seen)
        wait_until(lambda: harness.is_listening(*self.address.split(":")), "the sink")

    def begin(self, server, sessions=10, rate=400):
        self.load = self.start("load", "--to", server.address, "--sessions", sessions, "--messages", 10**9, "--size", 2048,
                               "--rate", rate, "--reconnect", "--seq-log", self.acknowledged)

    @staticmethod
    def words(path):
        """The numbers in a file that is being written."""
        if not path.exists():
            return []
        text = path.read_text(encoding="ascii")
        return text[:text.rfind("\n") + 1].split()

    def count(self):
        return len(self.words(self.acknowledged))

    def wait_more(self, count=50):
        goal = self.count() + count
        wait_until(lambda: self.count() >= goal or self.load.poll() is not None, f"{count} more messages to be taken")
        assert self.load.poll() is None, "the load ended"

    def end_load(self):
        self.load.terminate()
        self.load.wait(harness.PATIENCE)

    def end(self, server, doubled_max=0):
        """All that was promised came, and nothing came twice but `doubled_max`."""
        self.end_load()
        server.wait_queue_length(0)
        promised, arrived = set(self.words(self.acknowledged)), self.words(self.seen)
        assert promised <= set(arrived), f"{len(promised - set(arrived))} of {len(promised)} lost"
        assert len(arrived) - len(set(arrived)) <= doubled_max

    def close(self):
        for process in (self.load, self.sink):
            if process:
                process.kill()
                process.wait()


@pytest.fixture
def flow(tmp_path):
    made = Flow(tmp_path)
    yield made
    made.close()


def files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def counters(server):
    return get(server, "/v1/status")["counters"]


# ---- the control socket ----

def flood_control(path, ending, failures):
    """Connections that ask for nothing, for half, for far too much, and that do not read what they asked for."""
    head = b"POST /v1/queue/actions HTTP/1.1\r\nHost: x\r\n"
    said = [b"", b"GET /v1/sta", head + b"Content-Length: 1000000000\r\n\r\n" + b"x" * 200000,
            head + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 65536 + b"\r\n",
            b"GET /v1/pressure HTTP/1.1\r\nHost: x\r\n\r\n" * 1000, b"GET /" + b"a" * 100000, b"\x00\xff" * 1000]
    open_ones = []
    try:
        number = 0
        while not ending.is_set():
            number += 1
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            open_ones.append(one)
            with contextlib.suppress(OSError):  # its backlog is full, or it did not want that
                one.connect(path)
                one.send(said[number % len(said)])
            if len(open_ones) > 40:
                open_ones.pop(0).close()
            ending.wait(0.001)
    except OSError as failure:
        failures.append(failure)
    finally:
        for one in open_ones:
            one.close()


def test_a_flood_of_the_control_socket_under_load(make_server, flow):
    flow.open_sink()
    server = make_server(delivery={"smart_host": flow.address}, log={"level": "warning"}).start()
    flow.begin(server)
    flow.wait_more()
    memory, open_files = anonymous_bytes(server), files(server)
    ending, failures = threading.Event(), []
    threads = [threading.Thread(target=flood_control, args=(str(server.socket), ending, failures)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        flow.wait_more(1500)
        growth = anonymous_bytes(server) - memory
        assert files(server) <= open_files + 120
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    assert harness.SANITIZED or growth <= 32 * MIB, f"{growth // KIB} KiB more"


    def answers():
        with contextlib.suppress(BlockingIOError):  # what is left of the flood fills the backlog
            return get(server, "/v1/status")["pid"] == server.process.pid

    wait_until(answers, "the control socket to answer")
    flow.end(server)
    wait_until(lambda: files(server) <= open_files + 8, "descriptors to be given back")


# ---- kills ----

# Any process is over a limit of 1 MiB: the server is at high, and stays there.
ALWAYS_HIGH = {"interval": "100ms", "memory_limit": "1MiB", "dwell": "0"}
NEVER_HIGH = {**ALWAYS_HIGH, "memory_limit": "1024GiB"}
RETRY = {"initial_retry": "1s", "next_retry": "1s", "jitter": "0%"}


def wait_level(server, level):
    return wait_until(lambda: get(server, "/v1/pressure")["level"] == level, f"level {level}")


def change(server, **settings):
    server.write_config(**settings)
    server.tool("config", "reload", check=0)


def test_killed_again_and_again_at_high(make_server, flow):
    """At high, with a queue, with clients that ask all the time: five kills lose nothing, and it comes back to normal."""
    server = make_server(delivery={"smart_host": flow.address}, log={"level": "warning"}, retry=RETRY, pressure=NEVER_HIGH)
    server.start()
    flow.begin(server)
    flow.wait_more(500)
    change(server, pressure=ALWAYS_HIGH)
    wait_level(server, "high")
    for number in range(5):
        if number == 2:
            flow.open_sink()
        server.kill()
        server.start()
        wait_level(server, "high")
        with Raw(server) as raw:
            assert raw.enhanced(b"MAIL FROM:<a@sender.test>\r\n") == ("452", "4.3.1")
    change(server, pressure=NEVER_HIGH)
    wait_level(server, "normal")
    flow.wait_more()
    # In flight at a kill: what the connections to the sink were busy with, a batch each.
    flow.end(server, doubled_max=3 * 16 * 40)


# ---- logs ----

def mount(*arguments):
    result = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {result.stderr.strip()}")


def exchange(one, other):
    """renameat2(2) with RENAME_EXCHANGE, from the folder of the process (AT_FDCWD)."""
    assert ctypes.CDLL(None).renameat2(-100, bytes(one), -100, bytes(other), 2) == 0


@contextlib.contextmanager
def gone(folder):
    """A file is in its place: at one stroke, or the server would make it again in between."""
    away = folder.with_name("away")
    away.write_text("no folder")
    exchange(folder, away)
    yield
    exchange(folder, away)
    away.unlink()


@contextlib.contextmanager
def read_only(folder):
    """A file system that takes nothing is laid over it."""
    mount("-t", "tmpfs", "-o", "ro", "tmpfs", folder)
    yield
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("trouble", [gone, read_only])
def test_a_folder_of_logs_that_goes_away_under_load(make_server, flow, tmp_path, trouble):
    """Mail goes on, what is lost is counted, and told in the log files when they can be written again."""
    flow.open_sink()
    logs = tmp_path / "logs"
    server = make_server(delivery={"smart_host": flow.address}, log={"level": "warning", "files": {"directory": str(logs)}})
    server.start()
    flow.begin(server)
    flow.wait_more()
    with trouble(logs):
        server.wait_log("records_lost .*state=begins")
        dropped = counters(server)["records_dropped"]
        wait_until(lambda: counters(server)["records_dropped"] > dropped, "lost lines to be counted")
        flow.wait_more()
    server.wait_log("records_lost .*state=ends")
    marker = "when-all-is-well-again@sender.test"

    def is_written():
        with Raw(server) as raw:
            assert raw.transaction(message(), sender=marker.encode()) == 250
        return any(marker in path.read_text() for path in logs.glob("receive/RECV*.log"))

    wait_until(is_written, "the protocol log to go on")
    flow.end(server)


def test_a_folder_of_logs_that_is_removed_is_made_again(make_server, flow, tmp_path):
    flow.open_sink()
    logs = tmp_path / "logs"
    server = make_server(delivery={"smart_host": flow.address}, log={"level": "warning", "files": {"directory": str(logs)}})
    server.start()
    flow.begin(server)
    for _ in range(3):
        flow.wait_more()
        subprocess.run(["rm", "-rf", str(logs)], check=False)  # the server makes what rm takes away
        wait_until(lambda: list(logs.glob("receive/RECV*.log")), "the protocol log to be there again")
    flow.end(server)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a /run of its own")
def test_a_journal_that_hangs(make_server, remote, tmp_path):
    """It takes some entries and then reads no more: mail and log files go on, what is lost is counted, and told to
    the journal when it reads again."""
    folder = tmp_path / "journal"
    folder.mkdir()
    server = make_server(delivery={"smart_host": remote.address}, log={"target": "journal"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(os.path.relpath(folder / "socket") if len(str(folder)) > 90 else str(folder / "socket"))
        journal.setblocking(False)
        server.start(wrapper=["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && "
                              f"mount --bind '{folder}' /run/systemd/journal && exec \"$@\"", "sh"])
        sent = 0
        with Raw(server) as raw:
            while sent < 200 or counters(server)["log_dropped"] == 0:
                assert sent < 20000, "nothing is dropped, or it is not counted"
                assert raw.transaction(message(X_Seq=sent)) == 250
                sent += 1
            marker = "of-the-hanging-journal@sender.test"
            assert raw.transaction(message(X_Seq=sent), sender=marker.encode()) == 250
        logs = server.folder / "var" / "log"
        wait_until(lambda: any(marker in path.read_text() for path in logs.glob("receive/RECV*.log")), "the protocol log")
        wait_until(lambda: len(remote.mails) > sent, "all mails")

        def is_told():
            with Raw(server) as raw:
                assert raw.transaction(message()) == 250
            entries = b""
            with contextlib.suppress(BlockingIOError):
                while True:
                    entries += journal.recv(65536)
            return b"PENSTOCK_EVENT=log_dropped\n" in entries

        wait_until(is_told, "the loss to be told")
        server.wait_queue_length(0)
        server.stop()


# ---- settings that flap ----

def test_two_hundred_reloads_under_load(make_server, flow):
    """Between two good files, and bad ones now and then: no message, no descriptor and no memory is lost."""
    flow.open_sink()
    server = make_server(delivery={"smart_host": flow.address}, log={"level": "warning"}).start()
    flow.begin(server)
    flow.wait_more()
    good = [{"smtp": {"recipients_max": number}, "delivery": {"routes": [{"domain": f"d{number}.test", "to": flow.address}]},
             "log": {"files": {"connectivity": number == 3, "file_max": f"{number}MiB"}},
             "pressure": {"dwell": f"{number}s"}, "spool": {"commit_delay": f"{number}ms"}} for number in (3, 4)]
    sizes = []

    def ask():
        """What came of it; asked again while an earlier one waits for transactions."""
        result = server.tool("config", "reload")
        return None if "an earlier reload waits" in result.stderr else result

    def reload(number):
        server.write_config(**good[number % 2])
        if number % 20 == 7:
            text = server.file.read_text()
            server.file.write_text(text.replace('"recipients_max"', '"recipients_mox"'))
            result = wait_until(ask, "the bad file to be looked at")
            assert result.returncode != 0 and "recipients_m" in result.stderr, result
            server.file.write_text(text)
        assert wait_until(ask, "the good file to be looked at").returncode == 0

    for number in range(200):
        reload(number)
        if number in (50, 199):
            flow.wait_more()
            sizes.append((files(server), anonymous_bytes(server)))
    assert sizes[1][0] <= sizes[0][0] + 8, f"descriptors: {sizes}"
    assert harness.SANITIZED or sizes[1][1] <= sizes[0][1] + 8 * MIB, f"memory: {sizes}"
    flow.end(server)


# ---- memory ----

def test_memory_levels_come_and_go_under_load(make_server, flow):
    """Normal, medium, high and back, again and again: clients hear 250 and 452, all that was taken arrives once."""
    flow.open_sink()
    share = {"medium_to_low": "0%", "low_to_medium": "1%", "high_to_medium": "98%", "medium_to_high": "99%"}
    levels = {"medium": {"memory_limit": "1GiB" if harness.SANITIZED else "64MiB",
                         "memory": {**share, "history": 0}, "tarpit": {"start": "10ms", "max": "50ms"}},
              "high": {"memory_limit": "1MiB", "memory": {**share, "history": 0}},
              "normal": {"memory_limit": "1024GiB", "memory": {**share, "history": 0}}}
    server = make_server(delivery={"smart_host": flow.address}, log={"level": "warning"},
                         pressure={"interval": "100ms", "dwell": "0", "memory": {**share, "history": 0},
                                   "memory_limit": "1024GiB"}).start()
    flow.begin(server)
    for _ in range(4):
        for level in ("medium", "high", "medium", "normal"):
            change(server, pressure=levels[level])
            wait_level(server, level)
            with Raw(server) as raw:
                code = raw.code(b"MAIL FROM:<a@sender.test>\r\n")
                assert code == 452 if level == "high" else code in (250, 452), code
        flow.wait_more()
    flow.end(server)


# ---- clients with a network each ----

IPV6 = r"""
import json, socket, subprocess, sys
subprocess.run("ip link set lo up && for n in 1:: 1::5 1::ffff:1 1:1::1 2::1; do ip -6 addr add 2001:db8:$n/128 dev lo nodad; done",
               shell=True, check=True)
server = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, text=True)
try:
    while not server.stdout.readline().startswith("ready"):
        pass
    codes = []
    for source in sys.argv[1].split(","):
        client = socket.create_connection(("2001:db8:1::", 2525), 60, (source, 0))
        codes.append(client.makefile().readline()[:9])
        client.close()
finally:
    server.terminate()
    server.wait()
print(json.dumps(codes))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a network of its own")
@pytest.mark.parametrize("bits,expected", [(64, ["220", "220", "421", "220", "220"]), (128, ["220"] * 5),
                                           (32, ["220", "220", "421", "421", "421"])])
def test_a_client_of_ipv6_is_a_network(make_server, bits, expected):
    server = make_server(listeners=[{"name": "main", "address": "[2001:db8:1::]:2525"}],
                         smtp={"connections_per_client_minute_max": 2, "client_ipv6_prefix": bits},
                         pressure={"internal_networks": []})
    sources = ["2001:db8:1::", "2001:db8:1::5", "2001:db8:1::ffff:1", "2001:db8:1:1::1", "2001:db8:2::1"]
    result = subprocess.run(["unshare", "--net", sys.executable, "-c", IPV6, ",".join(sources), str(BINARY), "serve", "-c",
                             str(server.file)], capture_output=True, text=True, cwd=server.folder, check=False,
                            timeout=2 * harness.PATIENCE)
    if "unshare" in result.stderr or "ip:" in result.stderr:
        pytest.skip(f"no network of its own here: {result.stderr[:200]}")
    assert result.returncode == 0, result.stderr
    codes = [each[:3] for each in json.loads(result.stdout.splitlines()[-1])]
    assert codes == expected
