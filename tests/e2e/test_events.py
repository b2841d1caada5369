"""The log files and `penstock events`, with the real server."""
import datetime
import json
import os
import re
import select
import signal
import subprocess
import sys

import pytest

from harness import BINARY, Raw, run_tool, wait_until

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}"


def files(server, kind):
    return sorted((server.folder / "var/log" / kind).glob("*"))


def events(server, *arguments, **options):
    """What `penstock events --json` tells."""
    result = run_tool("events", "--json", "-c", server.file, *arguments, cwd=server.folder, check=0, **options)
    return [json.loads(line) for line in result.stdout.splitlines()]


def names(list_of_events):
    """Without what a busy machine adds."""
    return [event["event"] for event in list_of_events
            if not event["event"].startswith(("pressure_", "remedy", "refus", "slow_"))]


def write_log(folder, *lines, name="EVENT20261122-1.jsonl", end="\n"):
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / name).write_text(text + end, encoding="utf-8")


def event(name, time="2026-11-22T20:30:01.123Z", level="notice", **fields):
    return {"time": time, "level": level, "event": name, **fields}


def transition(direction, when, before, after, **fields):
    return event(f"pressure_{direction}", f"2026-11-22T{when}.000Z", "warning" if direction == "increased" else "notice",
                 event_id=15004 if direction == "increased" else 15005, direction=direction, resource="server",
                 cause="memory", **{"from": before}, to=after, value=805306368, unit="bytes",
                 threshold=786432000, limit=1073741824, **fields)


RESOURCES = 'memory=76%[high 71/73/75] spool_disk("/var/spool")=41%[normal 94/97/99]'


# ---- the files of a real server ----

def test_a_server_keeps_an_event_log_that_is_read_with_the_server_down(server):
    server.stop()
    path, = files(server, "events")
    assert re.fullmatch(r"EVENT\d{8}-1\.jsonl", path.name)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o777 == 0o750
    told = events(server)
    assert names(told)[0] == "server_ready" and names(told)[-1] == "server_stopped"
    assert {event["level"] for event in told} <= {"notice", "warning", "error"}, "info is not for the event log"
    table = run_tool("events", "-c", server.file, cwd=server.folder, check=0).stdout.splitlines()
    assert re.match(r"TIME +LEVEL +EVENT +WHAT$", table[0])
    assert any(re.match(TIME + r"  notice +server_ready +loops \d+, spool ", line) for line in table)
    assert len(table) == len(told) + 1


def test_a_restart_goes_on_in_the_same_file(server):
    server.restart()
    server.restart()
    server.stop()
    assert len(files(server, "events")) <= 2, "one file a day, whatever the clock says"
    assert names(events(server)).count("server_ready") == 3


def test_the_event_log_has_notices_whatever_the_log_s_level_is(make_server):
    server = make_server(log={"level": "error"}).start()
    server.stop()
    assert "server_ready" not in server.log().replace("ready\n", "")
    assert "server_ready" in names(events(server))


def test_log_files_can_be_off(make_server):
    server = make_server(log={"files": {"directory": "none"}}).start()
    server.stop()
    assert not (server.folder / "var" / "log").exists()
    result = run_tool("events", "-c", server.file, cwd=server.folder, check=1)
    assert "log.files.directory is none" in result.stderr


def test_a_kind_is_turned_on_and_off_by_a_reload(make_server):
    server = make_server(log={"files": {"events": False}}).start()
    assert not files(server, "events")
    server.write_config(log={"files": {"events": True}})
    server.signal(signal.SIGHUP)
    wait_until(lambda: files(server, "events"), "an event log")
    wait_until(lambda: "config_reloaded" in names(events(server)), "the reload in it")


def test_a_folder_that_cannot_be_made_is_told_at_start(make_server):
    server = make_server(log={"files": {"directory": "penstock.yaml/log"}})
    code, log = server.run_to_failure()
    assert code == 1
    assert re.search(r"log\.files\.directory: \S+/penstock\.yaml/log/events cannot be used: "
                     r"Not a directory\. log\.files\.directory=none turns", log), log


def test_a_reload_with_a_folder_that_cannot_be_made_changes_nothing(server):
    server.write_config(log={"files": {"directory": "penstock.yaml/log", "events": False}})
    result = server.tool("config", "reload")
    assert result.returncode == 1
    assert "penstock.yaml/log" in result.stderr and "cannot be used: Not a directory" in result.stderr
    wait_until(lambda: "config_refused" in files(server, "events")[0].read_text(), "the old event log")
    server.write_config(log={"files": {"directory": "elsewhere", "events": True}})
    server.tool("config", "reload", check=0)
    wait_until(lambda: any("config_reloaded" in path.read_text()
                           for path in server.folder.glob("**/EVENT*")), "the end of the reload")
    server.tool("config", "reload", check=0)
    wait_until(lambda: "config_reloaded" in names(events(server)), "an event log in the new folder")


def test_removed_and_renamed_files_are_begun_anew(server):
    path, = wait_until(lambda: files(server, "events"), "the event log")
    path.rename(path.with_suffix(".old"))
    server.signal(signal.SIGHUP)
    wait_until(path.exists, "a new file")
    path.unlink()
    server.signal(signal.SIGHUP)
    wait_until(path.exists, "another new file")
    wait_until(lambda: names(events(server)) == ["config_reloaded"], "what came since")


def test_protocol_logs_have_exactly_four_lines_and_the_fields(server, remote):
    with Raw(server) as client:
        assert client.transaction(b"Subject: a\r\n\r\nb") == 250
        assert client.ask(b"QUIT\r\n").startswith(b"221")
    server.wait_queue_length(0)
    server.restart()
    with Raw(server) as client:
        assert client.ask(b"QUIT\r\n").startswith(b"221")
    server.stop()
    for kind, first in (("receive", "date-time,connector-id"), ("send", "date-time,connector-id"),
                        ("tracking", "date-time,client-ip")):
        text = files(server, kind)[0].read_bytes().decode()
        heads = [line for line in text.split("\r\n") if line.startswith("#")]
        assert [line.split(":")[0] for line in heads] == ["#Software", "#Version", "#Log-type", "#Date", "#Fields"]
        assert heads[4].startswith(f"#Fields: {first}")
        assert text.endswith("\r\n")


def test_many_lines_rotate_and_stay_under_the_bound(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address},
                         log={"files": {"file_max": "64KiB", "folder_max": "256KiB"}}).start()
    run_tool("load", "--to", server.address, "--messages", "2000", "--sessions", "8", check=0)
    server.wait_queue_length(0)
    server.stop()
    found = files(server, "receive")
    assert sum(path.stat().st_size for path in found) <= 256 * 1024
    assert all(path.stat().st_size <= 64 * 1024 for path in found)
    numbers = [int(path.stem.split("-")[1]) for path in found]
    assert min(numbers) > 1, "the oldest went"
    assert all(path.read_bytes().startswith(b"#Software") for path in found)


def tiny_disk(folder):
    folder.mkdir(parents=True)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(folder)],
                          capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_log_disk_costs_lines_and_no_mail(make_server, remote, tmp_path):
    disk = tmp_path / "logs"
    if not tiny_disk(disk):
        pytest.skip("no mounts here")
    try:
        server = make_server(delivery={"smart_host": remote.address},
                             log={"files": {"directory": str(disk), "folder_max": "8MiB", "file_max": "8MiB"}}).start()
        (disk / "filler").write_bytes(b"x" * (1 << 20))  # less is free than logs may touch
        run_tool("load", "--to", server.address, "--messages", "1000", "--sessions", "4", check=0)
        server.wait_queue_length(0)
        remote.wait_mails(1000)
        begins = server.wait_log(r"records_lost state=begins file=\S+ reason=\"[^\"]*are kept free\"")
        assert begins
        (disk / "filler").unlink()
        with Raw(server) as client:
            assert client.ask(b"QUIT\r\n").startswith(b"221")
        server.wait_log(r"records_lost state=ends .*lines=\d+")
        server.stop()
        told = [one for one in events(server) if one["event"] == "records_lost"]
        assert told and {"begins", "ends"} >= {one["state"] for one in told}
        for kind in ("receive", "send", "tracking"):
            for path in (disk / kind).glob("*"):
                assert path.read_bytes().endswith(b"\n"), "no line is cut"
    finally:
        server.kill()
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_log_that_nobody_reads_does_not_stop_the_event_log(make_server):
    server = make_server(log={"level": "debug"})
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen([str(BINARY), "serve", "-c", str(server.file)], cwd=server.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writer)
        os.close(writer)
        server.process = process
        wait_until(lambda: files(server, "events"), "the event log")
        for _ in range(300):
            with Raw(server) as client:
                client.ask(b"NOOP " + b"x" * 400 + b"\r\n")
        server.signal(signal.SIGHUP)
        wait_until(lambda: "config_reloaded" in names(events(server)), "events in spite of the hung reader")
    finally:
        os.close(reader)
        server.process = None
        process.kill()
        process.wait()


# ---- the journal ----

JOURNAL = r"""
import os, socket, subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
os.makedirs("/run/systemd/journal")
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
journal.settimeout(0.05)
stderr = open("/run/stderr", "wb")
status = os.fstat(stderr.fileno())
server = subprocess.Popen(sys.argv[1:], stderr=stderr, stdout=subprocess.DEVNULL,
                          env={**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
try:
    ready, entry = b"server_ready", b""
    while ready not in entry and ready not in open("/run/stderr", "rb").read():
        try:
            entry = journal.recv(65536)
        except TimeoutError:
            pass
finally:
    server.terminate()
    server.wait()
sys.stdout.buffer.write(entry)
sys.stdout.buffer.write(b"--stderr--" + open("/run/stderr", "rb").read())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a /run of its own")
@pytest.mark.parametrize("target", ["auto", "stderr"])
def test_lines_go_to_the_journal_where_stderr_does(make_server, target):
    server = make_server(log={"target": target})
    result = subprocess.run(["unshare", "--mount", sys.executable, "-c", JOURNAL, str(BINARY), "serve", "-c",
                             str(server.file)], capture_output=True, cwd=server.folder, timeout=120, check=False)
    if result.returncode != 0 and b"unshare" in result.stderr:
        pytest.skip("no mounts of its own here")
    entry, _, stderr = result.stdout.partition(b"--stderr--")
    if target == "stderr":
        assert entry == b"" and b" notice server_ready loops=" in stderr
        return
    lines = entry.decode().splitlines()
    assert "PRIORITY=5" in lines and "SYSLOG_IDENTIFIER=penstock" in lines, (lines, result.stderr)
    assert any(re.fullmatch(r"MESSAGE=server_ready loops=\d+ spool=\S+", line) for line in lines), lines
    assert f"PENSTOCK_SPOOL={server.spool}" in lines
    assert stderr == b"", "not twice"


# ---- the command ----

def test_pressure_in_words_and_as_exchange_has_it(tmp_path):
    write_log(tmp_path / "events",
              transition("increased", "20:30:00", "medium", "high", refused="external,internal",
                         resources=RESOURCES),
              transition("decreased", "20:40:00", "high", "normal", refused="", resources=RESOURCES))
    table = run_tool("events", "--directory", tmp_path, check=0, env={"TZ": "UTC"}).stdout
    up, down = table.splitlines()[1:]
    assert "pressure_increased" in up and "INCREASED from medium (for 0s) to high: server, by memory at 768M of 1.0G" in up
    assert "refused now: external,internal" in up
    assert "pressure_decreased" in down and "DECREASED from high (for 0s) to normal" in down
    text = run_tool("events", "--directory", tmp_path, "--exchange-text", check=0, env={"TZ": "UTC"}).stdout
    assert text == """\
Date:          2026-11-22 20:30:00 +0000
Event ID:      15004
Task Category: ResourceManager
Level:         Warning
Direction:     INCREASED
Description:
The resource pressure increased from Medium to High.

The following resources are under pressure:
Private bytes = 76% [High] [Normal=71% Medium=73% High=75%]

The following components are disabled due to back pressure:
Inbound mail submission from Hub Transport servers
Inbound mail submission from the Internet

The following resources are in normal state:
Queue database and disk space ("/var/spool") = 41% [Normal] [Normal=94% Medium=97% High=99%]

Date:          2026-11-22 20:40:00 +0000
Event ID:      15005
Task Category: ResourceManager
Level:         Information
Direction:     DECREASED
Description:
The resource pressure decreased from High to Normal.

The following resources are under pressure:
Private bytes = 76% [High] [Normal=71% Medium=73% High=75%]

The following resources are in normal state:
Queue database and disk space ("/var/spool") = 41% [Normal] [Normal=94% Medium=97% High=99%]

"""


@pytest.mark.parametrize("arguments, expected", [
    ((), ["a", "b", "c", "d"]),
    (("--id", "15004"), ["b"]),
    (("--id", "15006"), []),
    (("--level", "warning"), ["b", "d"]),
    (("--level", "error"), ["d"]),
    (("-n", "2"), ["c", "d"]),
    (("-n", "9"), ["a", "b", "c", "d"]),
    (("-n", "1", "--level", "warning"), ["d"]),
    (("--since", "2026-11-22T20:30Z"), ["b", "c", "d"]),
    (("--until", "2026-11-22 20:30:00Z"), ["a", "b"]),
    (("--since", "2026-11-22 21:30"), ["b", "c", "d"]),  # the place is an hour ahead
    (("--since", "2026-11-23", "--until", "2026-11-24"), ["d"]),
])
def test_filters(tmp_path, arguments, expected):
    write_log(tmp_path / "events", event("a", "2026-11-22T20:29:59.999Z"),
              event("b", "2026-11-22T20:30:00.000Z", "warning", event_id=15004),
              event("c", "2026-11-22T20:30:00.001Z"))
    write_log(tmp_path / "events", event("d", "2026-11-22T23:30:00.000Z", "error"), name="EVENT20261123-1.jsonl")
    result = run_tool("events", "--json", "--directory", tmp_path, *arguments, check=0, env={"TZ": "XYZ-1"})
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == expected


def test_ages_are_counted_from_now(tmp_path):
    now = datetime.datetime.now(datetime.timezone.utc)
    times = {name: (now - datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
             for name, hours in (("old", 25), ("new", 1))}
    write_log(tmp_path / "events", *(event(name, time) for name, time in times.items()))
    result = run_tool("events", "--json", "--directory", tmp_path, "--since", "24h", check=0)
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["new"]
    result = run_tool("events", "--json", "--directory", tmp_path, "--until", "24h", check=0)
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["old"]


def test_foreign_and_cut_lines_are_left_out_and_counted(tmp_path):
    write_log(tmp_path / "events", event("a"), "no json", "[]", '{"event": "b"}', '{"time": 1}',
              event("c"), '{"time": "2026-11-22T20:3', end="")
    write_log(tmp_path / "events", "not looked at", name="notes.txt")
    result = run_tool("events", "--json", "--directory", tmp_path, check=0)
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["a", "c"]
    assert "5 lines could not be read and were left out" in result.stderr


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    write_log(tmp_path / "events", event("a", text="\x1b[31mred\x9b\n"))
    result = run_tool("events", "--directory", tmp_path, check=0)
    assert "\x1b" not in result.stdout and "\x9b" not in result.stdout and "red" in result.stdout


def test_an_empty_log_says_so(tmp_path):
    (tmp_path / "events").mkdir()
    assert "no events" in run_tool("events", "--directory", tmp_path, check=0).stdout
    assert run_tool("events", "--directory", tmp_path, "--json", check=0).stdout == ""


@pytest.mark.parametrize("arguments, code, message", [
    (("--since", "soon"), 2, "--since 'soon': allowed: an age such as 90s"),
    (("--until", "2026-13-01"), 2, "--until '2026-13-01': allowed:"),
    (("--since", "1h", "--until", "2h"), 2, "--since is later than --until"),
    (("--id", "15004x"), 2, "--id '15004x': allowed: a number from 1 to 65535"),
    (("--id", "0"), 2, "--id '0': allowed:"),
    (("-n", "-1"), 2, "-n '-1': allowed: a number from 1 to 1000000"),
    (("--level", "info"), 2, "--level 'info': allowed: notice, warning or error"),
    (("--json", "--exchange-text"), 2, "do not go together"),
    (("--nonsense",), 2, "'--nonsense': there is no such option"),
    (("word",), 2, "'word' is one word too many"),
    (("--directory", "/nonexistent"), 1, "there is no event log in /nonexistent/events: "),
    (("-c", "/nonexistent.yaml"), 1, "/nonexistent.yaml"),
])
def test_what_is_wrong_is_named(arguments, code, message):
    result = run_tool("events", *arguments, check=code)
    assert message in result.stderr
    assert result.stdout == ""
    if code == 2:
        assert "penstock events --help" in result.stderr


def test_help_names_every_option():
    text = run_tool("events", "--help", check=0).stdout
    for option in ("--since", "--until", "--id", "--level", "-n", "--follow", "--json", "--exchange-text",
                   "--config", "--set", "--directory", "15004", "15005", "15006", "15007"):
        assert option in text


class Follower:
    """`penstock events --follow`, line by line."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([str(BINARY), "events", "--follow", *map(str, arguments)],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.text = b""

    def wait(self, pattern):
        def found():
            if select.select([self.process.stdout], [], [], 0)[0]:
                self.text += os.read(self.process.stdout.fileno(), 65536)
            return re.search(pattern, self.text)

        wait_until(found, f"{pattern!r} in what follows")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def test_following_goes_over_rotation_removal_and_the_server_s_end(server, remote):
    with Follower("--json", "-n", "1", "--directory", server.folder / "var/log") as follower:
        follower.wait(rb'"event":"server_ready"')
        server.signal(signal.SIGHUP)
        follower.wait(rb'"event":"config_reloaded"')
        path, = files(server, "events")
        path.unlink()
        server.signal(signal.SIGHUP)
        follower.wait(rb'(?s)"config_reloaded".*"config_reloaded"')
        server.stop()
        follower.wait(rb'"event":"server_stopped"')
        server.start()
        follower.wait(rb'(?s)"server_stopped".*"server_ready"')
        write_log(path.parent, event("of_tomorrow"), name="EVENT29991231-1.jsonl")
        follower.wait(rb'"of_tomorrow"')
        lines = follower.text.splitlines()
    assert len(lines) == len(set(lines)), "no line twice"


def test_following_begins_with_the_last_ten(tmp_path):
    write_log(tmp_path / "events", *(event("e", n=n) for n in range(30)))
    with Follower("--directory", tmp_path) as follower:
        follower.wait(rb" n 29\n")
        assert follower.text.count(b" e ") == 10
