"""Too little of something: memory, room for the logs, patience of clients, a clock that can be trusted."""
import contextlib
import os
import pathlib
import signal
import subprocess
import threading

import pytest

import crowd
import harness
from harness import Raw, message, wait_until
from test_bad_days import anonymous_bytes, sockets
from test_control import get


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 2 MiB of its own."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    result = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True,
                            text=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {result.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder):
    """A file that takes all that is left."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return filler


def counters(server):
    return get(server, "/v1/status")["counters"]


def test_the_disk_of_the_event_log_is_full(make_server, remote, tiny_disk):
    """Mail goes on, what the logs lost is counted, and told when there is room again."""
    server = make_server(delivery={"smart_host": remote.address}, pressure={"interval": "100ms", "dwell": "1s"},
                         log={"files": {"directory": str(tiny_disk), "folder_max": "256KiB", "file_max": "64KiB"}})
    server.start()
    with Raw(server) as raw:
        assert raw.transaction(message()) == 250
        wait_until(lambda: list(tiny_disk.glob("events/EVENT*.jsonl")), "an event log file")
        filler = fill(tiny_disk)
        sent, samples = 1, get(server, "/v1/pressure")["samples"]
        # Long enough for every sample and dwell to have its say.
        while sent < 300 or counters(server)["records_dropped"] == 0 or get(server, "/v1/pressure")["samples"] < samples + 20:
            assert sent < 50000, f"nothing is dropped, or it is not counted: {counters(server)}"
            assert raw.transaction(message(X_Seq=sent)) == 250
            sent += 1
        wait_until(lambda: len(remote.mails) >= sent, "all mails")
        filler.unlink()
        dropped = counters(server)["records_dropped"]

        def is_told():
            assert raw.transaction(message()) == 250
            files = [path.read_text() for path in tiny_disk.glob("events/EVENT*.jsonl")]
            return any('"records_lost"' in text for text in files)

        wait_until(is_told, "the loss to be told in the event log")
        assert dropped > 0 and "records_lost" in server.log()
    server.wait_queue_length(0)


# ---- little memory ----

MEMORY = 256 << 20


def own_memory_group():
    """The folder of the control group of memory that we are in, version 1 or 2; None where there is none."""
    for line in pathlib.Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return pathlib.Path("/sys/fs/cgroup/memory") / path.lstrip("/")
        folder = pathlib.Path("/sys/fs/cgroup") / path.lstrip("/")
        if number == "0" and (folder / "memory.max").exists():
            return folder
    return None


@contextlib.contextmanager
def memory_group(bytes_max):
    """A wrapper under which a program is in a control group of its own, below ours, that has so much memory."""
    parent = own_memory_group()
    if parent is None:
        pytest.skip("there is no control group of memory")
    group = parent / f"penstock-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        limit = next((each for each in (group / "memory.limit_in_bytes", group / "memory.max") if each.exists()), None)
        if limit is None:
            pytest.skip("control groups below ours have no limit of memory")
        limit.write_text(str(bytes_max))
        yield ["sh", "-c", f'echo $$ >"{group}/cgroup.procs" && exec "$@"', "sh"]
    finally:
        def is_empty():
            left = (group / "cgroup.procs").read_text().split()
            for number in left:  # nothing but what was started with the wrapper
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(number), signal.SIGKILL)
            return not left

        wait_until(is_empty, "the group to be empty")
        group.rmdir()


@contextlib.contextmanager
def address_space(bytes_max):
    """The same with RLIMIT_AS, which counts what is mapped and not only what is used."""
    yield ["prlimit", f"--as={bytes_max}", "--"]


def memory_limit_of(server):
    return next(each["limit"] for each in get(server, "/v1/pressure")["resources"] if each["name"] == "memory")


@contextlib.contextmanager
def sink(folder):
    """`penstock sink`, which writes down what arrives: its address and the file."""
    host = harness.new_host()
    port = harness.free_port(host)
    seen = folder / "seen"
    with harness.background([harness.BINARY, "sink", "--listen", f"{host}:{port}", "--seq-log", seen],
                            log=folder / "sink.log") as process:
        wait_until(lambda: harness.is_listening(host, port) or process.poll() is not None, "the sink")
        yield f"{host}:{port}", seen


def words(path):
    return path.read_text(encoding="ascii").split() if path.exists() else []


@pytest.mark.parametrize("limited", [memory_group, address_space])
def test_two_thousand_large_messages_in_little_memory(small_disk, make_server, tmp_path, limited):
    """2,000 sessions send 10 MiB each, slowly, to a server that has 256 MiB: it lives, refuses what it must, loses nothing."""
    if harness.SANITIZED:
        pytest.skip("sanitizers need more address space than any limit leaves")
    log = tmp_path / "kept"
    # Room for all of them is set aside; what comes of them while they are slow is a tenth of it.
    disk = small_disk(30 << 10)
    with limited(MEMORY) as limit, sink(tmp_path) as (address, seen):
        server = make_server(delivery={"smart_host": address}, log={"level": "warning"}, smtp={"connections_max": 4000},
                             spool={"directory": str(disk / "spool"), "segment_size": "64MiB"}, pressure={"interval": "250ms", "dwell": "1s"})
        server.start(wrapper=limit)
        assert memory_limit_of(server) <= MEMORY
        files = sockets(server)
        with crowd.Crowd("trickle", server, 2000, 2, bytes=10 << 20, piece=16000, quick=12, enough=12, seconds=2 * harness.PATIENCE,
                         log=str(log)) as clients:
            opened = clients.answer()
            assert opened["greeted"] + opened["refused_421"] == 2000, opened
            figures = clients.answer(3 * harness.PATIENCE)
            peak = anonymous_bytes(server)
        assert server.is_alive(), server.log()[-3000:]
        assert peak < MEMORY * 0.9
        # It recovers: a new message is taken, small and large.
        wait_until(lambda: sockets(server) <= files + 64, "the sessions to end")

        def takes(body):
            with Raw(server) as raw:
                return raw.code(b"MAIL FROM:<a@sender.test> SIZE=%d\r\n" % len(body)) == 250

        wait_until(lambda: takes(b"x" * 1000), "small mail to be taken again")
        with Raw(server) as raw:
            assert raw.transaction(message("\r\n".join(["x" * 900] * 11000))) == 250
        server.wait_queue_length(0)
        kept = words(pathlib.Path(f"{log}0")) + words(pathlib.Path(f"{log}1"))
        arrived = words(seen)
        assert set(kept) <= set(arrived), f"{len(set(kept) - set(arrived))} of {len(kept)} lost"
        assert len(arrived) == len(set(arrived))
        assert figures["admitted"] > 0 and figures["kept"] > 0, figures
        # Nobody was told anything but 250, 354 and "452 4.3.1 Insufficient system resources".
        assert not [name for name in figures if "otherwise" in name or name.startswith("ended_")], figures
        server.stop()


# ---- refusing ----

# Any process is over a limit of 1 MiB: the server is at high, and stays there.
ALWAYS_HIGH = {"interval": "100ms", "memory_limit": "1MiB"}


def pressure(server):
    return get(server, "/v1/pressure")


def wait_level(server, level):
    return wait_until(lambda: pressure(server)["level"] == level, f"level {level}")


MANY = b"MAIL FROM:<a@sender.test> SIZE=%d\r\n" + b"RCPT TO:<b@rcpt.test>\r\n" * 8 + b"DATA\r\n"


def flood(raw, size, code):
    """Thousands of commands in one write; each has its own reply, and the session is whole after it."""
    sender = threading.Thread(target=raw.send, args=(MANY % size * 400,))
    sender.start()
    try:
        for number in range(400):
            codes = [raw.code() for _ in range(10)]
            assert codes == [code] + 9 * [503], f"transaction {number}: {codes}"
    finally:
        sender.join()
    assert raw.code(b"NOOP\r\n") == 250


def test_pipelined_floods_after_a_refused_mail(busy_server, remote):
    server = busy_server()
    with Raw(server) as raw:
        flood(raw, 99999999999, 552)
        assert raw.transaction(message(X_Seq=0)) == 250
        server.write_config(pressure=ALWAYS_HIGH)
        server.signal(signal.SIGHUP)
        wait_level(server, "high")
        for _ in range(3):
            flood(raw, 2000, 452)
        server.write_config(pressure={"memory_limit": "64GiB", "dwell": "0"})
        server.signal(signal.SIGHUP)
        wait_level(server, "normal")
        assert raw.transaction(message(X_Seq=1)) == 250
    remote.wait_mails(2)


def test_many_sessions_flood_while_the_queue_drains(busy_server, make_remote):
    """What was accepted goes out at high, while every session is refused as fast as it can ask."""
    host = harness.new_host()
    port = harness.free_port(host)
    server = busy_server(delivery={"smart_host": f"{host}:{port}"}, retry={"initial_retry": "1s", "jitter": "0%"})
    with Raw(server) as raw:
        for number in range(100):
            assert raw.transaction(message(X_Seq=number)) == 250
    server.write_config(pressure=ALWAYS_HIGH)
    server.signal(signal.SIGHUP)
    wait_level(server, "high")
    ending, failures = threading.Event(), []

    def refused_again_and_again():
        try:
            with Raw(server) as raw:
                while not ending.is_set():
                    raw.send(b"MAIL FROM:<a@sender.test>\r\n" * 50)
                    codes = [raw.code() for _ in range(50)]
                    assert codes == 50 * [452], codes
        except (AssertionError, OSError) as failure:
            failures.append(failure)

    threads = [threading.Thread(target=refused_again_and_again) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        far_side = make_remote(host=host, port=port)
        wait_until(lambda: len(far_side.mails) >= 100, "the queue to drain")
        server.wait_queue_length(0)
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    assert len(far_side.mails) == 100


# ---- clocks ----

@pytest.mark.parametrize("pressed", [False, True], ids=["at-normal", "at-high"])
def test_clock_steps_change_no_level(make_server, remote, tmp_path, pressed):
    """The wall clock goes forward and back an hour: levels, their times and admission stay what they are."""
    libraries = list(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("faketime is not installed")
    if harness.SANITIZED:
        pytest.skip("faketime and sanitizers both replace the C library's functions")
    shift = tmp_path / "shift"
    shift.write_text("+0")
    server = make_server(delivery={"smart_host": remote.address},
                         pressure=ALWAYS_HIGH if pressed else {"interval": "100ms", "dwell": "0"})
    server.start(env={"LD_PRELOAD": str(libraries[0]), "FAKETIME_TIMESTAMP_FILE": str(shift),
                      "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    level = "high" if pressed else "normal"
    wait_level(server, level)

    def transitions(answer):
        """All but those of a machine that is busy with something else."""
        return [each for each in answer["history"] if not each["resource"].endswith("_stall")]

    first = transitions(pressure(server))
    for step in ("+1h", "+0", "-1h", "+0", "+1h", "-1h"):
        before = pressure(server)
        shift.write_text(step)
        after = wait_until(lambda: (lambda now: now["samples"] >= before["samples"] + 5 and now)(pressure(server)), "samples")
        assert abs(after["now_ms"] - before["now_ms"]) > 3000000, "the clock did not step"
        assert after["level"] == level
        assert len(transitions(after)) == len(first), after["history"]
        # Its time at this level is real time, whatever the clock says.
        assert 0 <= after["now_ms"] - after["since_ms"] < 120000
        with Raw(server) as raw:
            assert raw.code(b"MAIL FROM:<a@sender.test>\r\n") == (452 if pressed else 250)


def descriptors_level(server):
    return next(each["level"] for each in get(server, "/v1/pressure")["resources"] if each["name"] == "descriptors")


def test_few_descriptors_leave_some_for_delivery_and_control(make_server, remote):
    """Of 100 descriptors half are the server's own files: clients are told 421 before the rest is gone."""
    server = make_server(delivery={"smart_host": remote.address})
    server.start(wrapper=["prlimit", "--nofile=100", "--"])
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Raw(server))
        codes = [stack.enter_context(Raw(server, greet=False)).code() for _ in range(70)]
        assert set(codes) == {220, 421} and codes.count(421) >= 30, codes
        assert descriptors_level(server) != "high"
        assert first.transaction(message()) == 250
        remote.wait_mails(1)
    with Raw(server) as client:
        assert client.transaction(message()) == 250
    remote.wait_mails(2)
