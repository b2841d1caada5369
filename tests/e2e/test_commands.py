"""The commands: what they say, and with which exit code."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile

import pytest

import harness
from harness import BINARY, background, free_port, new_host, run_tool, wait_until
from test_deliver import RETRY, send

COMMANDS = ("serve", "config", "queue", "spool", "sendmail", "sink", "load")


@pytest.fixture
def stuck(make_server):
    """A server whose smart host is down, with mail of two senders to two domains."""
    host = new_host()
    server = make_server(delivery={"smart_host": f"{host}:{free_port(host)}"},
                         retry={"initial_retry": "1h", "jitter": "0%"}).start()
    send(server, 2, sender=b"one@sender.test", recipients=(b"b@first.test",))
    send(server, 3, sender=b"two@sender.test", recipients=(b"c@second.test",))
    wait_until(lambda: [item["state"] for item in server.queue()] == ["deferred"] * 5, "five deferrals")
    server.down = host
    return server


# ---- usage ----

@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    result = run_tool(command, "--help", check=0)
    assert "Usage" in result.stdout and result.stderr == ""


def test_help_lists_every_command():
    text = run_tool("--help", check=0).stdout
    assert all(re.search(rf"^ +{command}\b", text, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("serve", "--nonsense"), ("queue",), ("queue", "nonsense"),
                                       ("config",), ("config", "nonsense"), ("spool",), ("spool", "nonsense"),
                                       ("queue", "show"), ("load",), ("load", "--to"), ("sink", "--nonsense"),
                                       ("load", "--to", "127.0.0.1:1", "--messages", "many")],
                         ids=" ".join)
def test_usage_errors_are_2(arguments):
    result = run_tool(*arguments)
    assert result.returncode == 2 and result.stderr and result.stdout == ""


# ---- queue ----

def test_queue_list_and_filters(stuck):
    assert len(stuck.queue()) == 5
    assert len(stuck.queue("--destination", "first.test")) in (0, 2)  # one smart host may be one destination
    assert len(stuck.queue("--sender", "two@")) == 3
    assert len(stuck.queue("--recipient", "b@first")) == 2
    assert len(stuck.queue("--older-than", "1h")) == 0
    text = stuck.tool("queue", "list", check=0).stdout
    assert all(item["id"] in text for item in stuck.queue())


def test_queue_show(stuck):
    item = stuck.queue("--sender", "one@")[0]
    shown = json.loads(stuck.tool("queue", "show", item["id"], "--json", check=0).stdout)
    assert shown["sender"] == "one@sender.test"
    assert shown["recipients"][0]["address"] == "b@first.test"
    assert shown["recipients"][0]["attempts"] >= 1
    text = stuck.tool("queue", "show", item["id"], check=0).stdout
    assert "one@sender.test" in text and "b@first.test" in text
    body = stuck.tool("queue", "show", item["id"], "--body", check=0).stdout
    assert "Subject: test" in body and body.startswith("Received:") or "Received:" in body


def test_queue_show_of_an_unknown_id(stuck):
    result = stuck.tool("queue", "show", "zzzzzzz")
    assert result.returncode == 1 and result.stderr


def test_queue_hold_release_and_retry(stuck, make_remote):
    ids = [item["id"] for item in stuck.queue("--sender", "one@")]
    stuck.tool("queue", "hold", *ids, check=0)
    assert {item["id"] for item in stuck.queue() if item["state"] == "held"} == set(ids)
    host, port = stuck.settings["delivery"]["smart_host"].rsplit(":", 1)
    remote = make_remote(host=host, port=int(port))
    stuck.tool("queue", "retry", "--all", check=0)
    remote.wait_mails(3)
    assert {item["id"] for item in stuck.queue()} == set(ids)
    stuck.restart()  # a hold outlives a restart
    assert {item["state"] for item in stuck.queue()} == {"held"}
    stuck.tool("queue", "release", *ids, check=0)
    stuck.tool("queue", "retry", *ids)  # 1 where they have left already
    remote.wait_mails(5)
    stuck.wait_queue_length(0)


def test_queue_bounce(stuck, make_remote):
    item = stuck.queue("--sender", "one@")[0]
    stuck.tool("queue", "bounce", item["id"], check=0)
    host, port = stuck.settings["delivery"]["smart_host"].rsplit(":", 1)
    remote = make_remote(host=host, port=int(port))
    stuck.tool("queue", "retry", "--all", check=0)
    wait_until(lambda: any(mail.sender.startswith(b"<>") for mail in remote.mails), "the DSN")
    dsn = next(mail for mail in remote.mails if mail.sender.startswith(b"<>"))
    assert dsn.recipients == [b"one@sender.test"]


def test_queue_remove(stuck, make_remote):
    item = stuck.queue("--sender", "one@")[0]
    stuck.tool("queue", "remove", item["id"], check=0)
    stuck.wait_queue_length(4)
    stuck.restart()
    assert len(stuck.queue()) == 4
    assert item["id"] not in {each["id"] for each in stuck.queue()}


def test_queue_summary(stuck):
    assert re.search(r"\b5\b|\b2\b.*\b3\b", stuck.tool("queue", "summary", check=0).stdout, re.DOTALL)
    summary = json.loads(stuck.tool("queue", "summary", "--json", check=0).stdout)
    entries = summary["destinations"] if isinstance(summary, dict) else summary
    assert sum(entry["entries"] for entry in entries) == 5


def test_queue_without_a_server(make_server):
    server = make_server()
    result = server.tool("queue", "list")
    assert result.returncode == 1 and str(server.socket) in result.stderr


def test_the_control_socket_is_private(server):
    assert os.stat(server.socket).st_mode & 0o077 == 0
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    probe = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", str(BINARY), "queue", "list", "-c",
                            str(server.file)], capture_output=True, text=True, check=False)
    assert probe.returncode != 0


# ---- spool ----

def test_spool_verify_export_stat_with_the_server_stopped(stuck, tmp_path):
    stuck.stop()
    stuck.tool("spool", "verify", check=0)
    stat = json.loads(stuck.tool("spool", "stat", "--json", check=0).stdout)
    assert stat["messages"] == 5
    folder = tmp_path / "export"
    stuck.tool("spool", "export", "--to", folder, check=0)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    mails = [path for path in files if b"Subject: test" in path.read_bytes()]
    assert len(mails) == 5
    everything = b"".join(path.read_bytes() for path in files)
    assert b"one@sender.test" in everything and b"c@second.test" in everything


def test_two_servers_never_share_a_spool(server, make_server):
    other = make_server("other", spool={"directory": str(server.spool)})
    code, said = other.run_to_failure()
    assert code == 1 and re.search("lock|another|in use", said, re.IGNORECASE)


def test_port_in_use(server, make_server):
    other = make_server("other", listeners=[{"name": "main", "address": server.address}])
    code, said = other.run_to_failure()
    assert code == 1 and server.address in said


# ---- sendmail ----

def sendmail(server, *arguments, stdin, check=0, **options):
    return server.tool("sendmail", *arguments, stdin=stdin, check=check, **options)


def test_sendmail_with_recipients(server, remote):
    sendmail(server, "-i", "-f", "me@sender.test", "b@rcpt.test", "c@rcpt.test", stdin="Subject: hi\n\nfirst\n.\nlast\n")
    mail = remote.wait_mails(1)[0]
    assert mail.sender.startswith(b"<me@sender.test>")
    assert sorted(mail.recipients) == [b"b@rcpt.test", b"c@rcpt.test"]
    assert mail.data.endswith(b"first\r\n.\r\nlast\r\n")


def test_sendmail_stops_at_a_dot_without_i(server, remote):
    sendmail(server, "-f", "me@sender.test", "b@rcpt.test", stdin="Subject: hi\n\nfirst\n.\nlast\n")
    assert remote.wait_mails(1)[0].data.endswith(b"first\r\n")


def test_sendmail_t_reads_the_recipients(server, remote):
    sendmail(server, "-t", "-oi", "-f", "me@sender.test", "-F", "My Name", stdin=(
        "To: B <b@rcpt.test>,\n \"x, y\" <c@rcpt.test>\nCc: d@rcpt.test (comment)\nBcc: e@rcpt.test\nSubject: hi\n\nx\n"))
    mail = remote.wait_mails(1)[0]
    assert sorted(mail.recipients) == [b"b@rcpt.test", b"c@rcpt.test", b"d@rcpt.test", b"e@rcpt.test"]
    assert mail.header("Bcc") is None
    assert "My Name" in mail.header("From") and mail.header("Date") and mail.header("Message-ID")


def test_sendmail_dsn_options(server, remote):
    sendmail(server, "-N", "success,failure", "-R", "hdrs", "-f", "me@sender.test", "b@rcpt.test", stdin="Subject: x\n\nx\n")
    remote.wait_mails(1)
    lines = b"\n".join(remote.commands()).upper()
    assert b"NOTIFY=SUCCESS,FAILURE" in lines and b"RET=HDRS" in lines


def test_sendmail_bs_speaks_smtp(server, remote):
    result = sendmail(server, "-bs", stdin=(
        "EHLO c.test\r\nMAIL FROM:<me@sender.test>\r\nRCPT TO:<b@rcpt.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"))
    assert result.stdout.startswith("220 ") and "\n221 " in result.stdout.replace("\r", "")
    remote.wait_mails(1)


def test_called_as_sendmail(server, remote, tmp_path):
    link = tmp_path / "sendmail"
    link.symlink_to(BINARY)
    run_tool("-C", server.file, "-f", "me@sender.test", "b@rcpt.test", stdin="Subject: x\n\nx\n", binary=link, check=0)
    remote.wait_mails(1)


def test_sendmail_without_recipients_or_server(server, make_server):
    assert sendmail(server, "-t", stdin="Subject: x\n\nx\n", check=None).returncode != 0
    other = make_server("other")
    result = other.tool("sendmail", "b@rcpt.test", stdin="Subject: x\n\nx\n")
    assert result.returncode != 0 and result.stderr


# ---- sink and load ----

@pytest.fixture
def make_sink(tmp_path):
    """make_sink(*options): a running `penstock sink`, its address, and finish() for its figures."""
    sinks = []

    class Sink:
        def __init__(self, *options):
            self.host = new_host()
            self.port = free_port(self.host)
            self.address = f"{self.host}:{self.port}"
            self.process = subprocess.Popen(
                [str(BINARY), "sink", "--listen", self.address, "--json", *map(str, options)], text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
            wait_until(lambda: harness.is_listening(self.host, self.port) or self.process.poll() is not None, "the sink")

        def finish(self):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            out, err = self.process.communicate(timeout=30)
            assert self.process.returncode == 0, err
            return json.loads(out.strip().splitlines()[-1])

    def make(*options):
        sinks.append(Sink(*options))
        return sinks[-1]

    yield make
    for sink in sinks:
        if sink.process.poll() is None:
            sink.process.kill()
        sink.process.communicate()


def load(address, *options, check=0):
    result = run_tool("load", "--to", address, "--json", *options, check=check)
    return json.loads(result.stdout.strip().splitlines()[-1])


def test_load_straight_into_sink(make_sink):
    sink = make_sink()
    figures = load(sink.address, "--sessions", 20, "--messages", 1000, "--size", 2048)
    assert figures["accepted"] == 1000
    assert {"p50", "p99", "p99_9"} <= {key.removesuffix("_us").removesuffix("_ms") for key in figures["latency"]} \
        if isinstance(figures.get("latency"), dict) else True
    counted = sink.finish()
    assert counted["messages"] == 1000 and counted["lost"] == 0 and counted["duplicates"] == 0


def test_load_through_the_server_into_sink(make_server, make_sink):
    sink = make_sink()
    server = make_server(delivery={"smart_host": sink.address}, log={"level": "warning"}).start()
    figures = load(server.address, "--sessions", 50, "--messages", 2000, "--size", 2048)
    assert figures["accepted"] == 2000
    server.wait_queue_length(0, 120)
    counted = sink.finish()
    assert counted["messages"] == 2000 and counted["lost"] == 0 and counted["duplicates"] == 0


def test_load_of_100_kib_messages(make_server, make_sink):
    sink = make_sink()
    server = make_server(delivery={"smart_host": sink.address}, spool={"segment_size": "8MiB"},
                         log={"level": "warning"}).start()
    assert load(server.address, "--sessions", 20, "--messages", 200, "--size", 102400)["accepted"] == 200
    server.wait_queue_length(0, 120)
    assert sink.finish()["duplicates"] == 0


def test_load_with_pipelining(make_sink):
    sink = make_sink()
    assert load(sink.address, "--sessions", 5, "--messages", 100, "--pipelining")["accepted"] == 100


def test_load_against_nobody():
    host = new_host()
    result = run_tool("load", "--to", f"{host}:{free_port(host)}", "--messages", 1)
    assert result.returncode == 1


def test_sink_stores_to_a_maildir_and_an_mbox(make_sink, tmp_path):
    for option, count in (("--maildir", lambda path: len(list((path / "new").iterdir()))),
                          ("--mbox", lambda path: path.read_bytes().count(b"\nSubject:"))):
        path = tmp_path / option.strip("-")
        sink = make_sink(option, path)
        load(sink.address, "--sessions", 2, "--messages", 10)
        sink.finish()
        assert count(path) == 10


# ---- the status of `make run` ----

def test_status_line(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address}, log={"status_line": "on"}).start()
    send(server, 3)
    remote.wait_mails(3)
    server.wait_log(r"accepted")


def test_ready_is_told_to_systemd(make_server, remote, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(harness.PATIENCE)
        server = make_server(delivery={"smart_host": remote.address}).start(env={"NOTIFY_SOCKET": str(path)})
        assert b"READY=1" in notify.recv(4096)
        server.signal(signal.SIGTERM)
        received = b""
        while b"STOPPING=1" not in received:
            received += notify.recv(4096)


# ---- other people's programs ----

def test_swaks(server, remote, program):
    result = subprocess.run([program("swaks"), "--server", server.address, "--from", "a@sender.test", "--to", "b@rcpt.test",
                             "--helo", "client.test"], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    remote.wait_mails(1)


def test_postfix_smtp_source_and_smtp_sink(make_server, program, tmp_path):
    source, sink = program("smtp-source"), program("smtp-sink")
    host = new_host()
    address = f"{host}:{free_port(host)}"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    # pytest's folders are closed to others, and smtp-sink does not run as root.
    with tempfile.TemporaryDirectory() as folder, background([sink, *user, "-c", "-d", f"{folder}/m.", address, "100"], log=tmp_path / "sink.log"):
        os.chmod(folder, 0o777)
        wait_until(lambda: harness.is_listening(*address.split(":")), "smtp-sink")
        server = make_server(delivery={"smart_host": address}, retry=RETRY).start()
        subprocess.run([source, "-s", "20", "-m", "500", "-l", "5000", "-f", "a@sender.test", "-t", "b@rcpt.test",
                        server.address], check=True, timeout=120)
        server.wait_queue_length(0, 120)
        assert len(os.listdir(folder)) == 500


def test_aiosmtpd_takes_the_mail(make_server):
    from aiosmtpd.controller import Controller

    class Handler:
        def __init__(self):
            self.mails = []

        async def handle_DATA(self, _server, _session, envelope):
            self.mails.append(envelope)
            return "250 2.0.0 ok"

    handler = Handler()
    host = new_host()
    controller = Controller(handler, hostname=host, port=free_port(host))
    controller.start()
    try:
        server = make_server(delivery={"smart_host": f"{host}:{controller.port}"}, retry=RETRY).start()
        send(server, 10)
        wait_until(lambda: len(handler.mails) == 10, "ten mails")
        assert handler.mails[0].rcpt_tos == ["b@rcpt.test"]
    finally:
        controller.stop()
