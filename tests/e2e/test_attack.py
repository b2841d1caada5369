"""Hostile clients and hostile remotes against the running server."""
import contextlib
import signal
import socket
import threading

import pytest

from harness import HOST, PATIENCE, Raw, run_tool, wait_until
from remote import HANG

MAIL, RCPT = b"MAIL FROM:<a@sender.test>\r\n", b"RCPT TO:<b@rcpt.test>\r\n"


def drip_until(raw, piece, words):
    """Sends `piece` again and again until the server says `words` or closes; what it said."""
    raw.socket.settimeout(0.05)
    said = b""

    def step():
        nonlocal said
        try:
            raw.socket.sendall(piece)
            data = raw.socket.recv(65536)
        except socket.timeout:
            return False
        except OSError:
            return True
        said += data
        return words in said or not data

    wait_until(step, f"{words!r}")
    return said


# ---- slow loris: bytes that trickle are no progress ----

def test_a_command_line_that_trickles_ends_with_the_command_time_out(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address},
                         smtp={"time_outs": {"command": "1s"}}).start()
    with Raw(server) as raw:
        assert drip_until(raw, b"N", b"421 ").startswith(b"421 ")


@pytest.mark.parametrize("begin,piece", [
    ((MAIL, RCPT, b"DATA\r\n"), b"x"),
    ((MAIL, RCPT), b"BDAT 1\r\nx"),
    ((MAIL, RCPT, b"BDAT 100000000\r\n"), b"x"),
    ((b"BDAT 100000000\r\n",), b"x"),  # refused, and read all the same
], ids=["data", "chunks", "one-chunk", "refused-chunk"])
def test_a_message_that_trickles_ends_with_the_message_time_out(make_server, remote, begin, piece):
    server = make_server(delivery={"smart_host": remote.address},
                         smtp={"time_outs": {"message": "1s"}}).start()
    with Raw(server) as raw:
        raw.send(b"".join(begin))
        assert b"421 " in drip_until(raw, piece, b"421 ")
    assert server.queue() == []


def test_time_that_one_message_took_is_not_taken_from_the_next(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address},
                         smtp={"time_outs": {"message": "5s"}}).start()
    with Raw(server) as raw:
        assert raw.transaction(b"Subject: a\r\n\r\nx") == 250
        with Raw(server) as other:  # its time-out begins later, and so ends later
            other.send(b"".join((MAIL, RCPT, b"DATA\r\n")))
            assert b"421 " in drip_until(other, b"x", b"421 ")
        assert raw.transaction(b"Subject: b\r\n\r\nx") == 250


# ---- reload ----

def hangs_at_the_dot(phase, _argument, _talk):
    return HANG if phase == "dot" else None


def test_a_reload_does_not_wait_for_a_host_that_hangs(make_server, make_remote):
    hung, fine = make_remote(rule=hangs_at_the_dot), make_remote()
    server = make_server(delivery={"smart_host": fine.address,
                                   "routes": [{"domain": "hung.test", "to": hung.address}]}).start()
    with Raw(server) as raw:
        assert raw.transaction(b"x", recipients=(b"b@hung.test",)) == 250
        wait_until(lambda: hung.ended, "the hanging host to have the message")
        server.write_config(smtp={"recipients_max": 3})
        server.signal(signal.SIGHUP)
        server.wait_log("config_reloaded")
        assert raw.transaction(b"x") == 250
        fine.wait_mails(1)
    with Raw(server, helo=False) as raw:
        assert b"RCPTMAX=3" in raw.ask(b"EHLO again.test\r\n")


def test_new_routes_do_not_stop_all_mail_while_a_host_hangs(make_server, make_remote):
    hung, fine, other = make_remote(rule=hangs_at_the_dot), make_remote(), make_remote()
    server = make_server(delivery={"smart_host": fine.address,
                                   "routes": [{"domain": "hung.test", "to": hung.address}]}).start()
    with Raw(server) as raw:
        assert raw.transaction(b"x", recipients=(b"b@hung.test",)) == 250
        wait_until(lambda: hung.ended, "the hanging host to have the message")
        server.write_config(delivery={"smart_host": other.address})
        server.signal(signal.SIGHUP)
        assert raw.transaction(b"x") == 250
        wait_until(lambda: fine.mails or other.mails, "the mail to go on")
        hung.close()
        server.wait_log("config_reloaded")
        assert raw.transaction(b"x") == 250
        other.wait_mails(1)
    assert len(fine.mails) == 1


def test_a_sighup_while_a_reload_waits_is_kept(make_server, make_remote):
    hung, fine = make_remote(rule=hangs_at_the_dot), make_remote()
    server = make_server(delivery={"smart_host": fine.address,
                                   "routes": [{"domain": "hung.test", "to": hung.address}]}).start()
    with Raw(server) as raw:
        assert raw.transaction(b"x", recipients=(b"b@hung.test",)) == 250
    wait_until(lambda: hung.ended, "the hanging host to have the message")
    server.write_config(delivery={"routes": []})
    run_tool("config", "reload", "--socket", server.socket, check=0)
    for count in (3, 4):  # the file as it is when it is read counts, and it is read once
        server.write_config(smtp={"recipients_max": count})
        server.signal(signal.SIGHUP)
        server.wait_log("config_waits")
    server.wait_log("config_waits")
    assert "config_reloaded" not in server.log()
    assert "waits for transactions" in run_tool("config", "reload", "--socket", server.socket, check=1).stderr
    hung.close()
    wait_until(lambda: server.log().count("config_reloaded") == 2, "both reloads")
    with Raw(server, helo=False) as raw:
        assert b"RCPTMAX=4" in raw.ask(b"EHLO again.test\r\n")
    assert server.log().count("config_waits") == 1


@pytest.mark.parametrize("change", [False, True])
def test_reload_again_and_again_under_load(make_server, make_remote, change):
    """SIGHUP while mail flows, then SIGTERM: it ends well, and nothing is lost or doubled."""
    remote = make_remote()
    server = make_server(delivery={"smart_host": remote.address}).start()
    acknowledged, stopping = [], threading.Event()

    def load(number):
        with contextlib.suppress(OSError, AssertionError), Raw(server) as raw:
            for count in range(100000):
                if stopping.is_set():
                    return
                name = f"{number}-{count}"
                if raw.transaction(f"Subject: {name}\r\n\r\nx".encode()) == 250:
                    acknowledged.append(name)

    threads = [threading.Thread(target=load, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for count in range(60):
        if change:
            server.write_config(delivery={"routes": [{"domain": f"d{count}.test", "to": remote.address}]})
        server.signal(signal.SIGHUP)
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before, "mail to flow")
    server.signal(signal.SIGHUP)
    server.stop()
    stopping.set()
    for thread in threads:
        thread.join()
    server.start()
    server.wait_queue_length(0)
    arrived = [mail.header("Subject") for mail in remote.mails]
    assert set(acknowledged) <= set(arrived)
    assert len(arrived) == len(set(arrived))


def test_sigterm_while_a_reload_waits(make_server, make_remote):
    hung = make_remote(rule=hangs_at_the_dot)
    server = make_server(delivery={"smart_host": hung.address}).start()
    with Raw(server) as raw:
        assert raw.transaction(b"x") == 250
    wait_until(lambda: hung.ended, "the hanging host to have the message")
    server.write_config(delivery={"smart_host": f"{HOST}:9"})
    server.signal(signal.SIGHUP)
    server.stop()


# ---- descriptors ----

def test_a_flood_of_connections_leaves_descriptors_for_delivery(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address})
    server.start(wrapper=["bash", "-c", 'ulimit -n 72; exec "$@"', "bash"])  # some 58 are the server's own
    with Raw(server) as raw, contextlib.ExitStack() as flood:
        for _ in range(150):
            flood.enter_context(socket.create_connection((HOST, server.port), PATIENCE))
        wait_until(lambda: "Too many connections" in server.log(), "connections to be refused")
        assert raw.transaction(b"Subject: x\r\n\r\nx") == 250
        remote.wait_mails(1)
        server.wait_queue_length(0)
    wait_until(lambda: Raw(server, greet=False).reply().startswith(b"220 "), "clients to be let in again")


@pytest.mark.parametrize("count", [32, 64])
def test_the_control_socket_outlives_a_flood(make_server, remote, count):
    server = make_server(delivery={"smart_host": remote.address}).start()
    with contextlib.ExitStack() as flood:
        for _ in range(count):
            connection = flood.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(server.socket))
        with Raw(server) as raw:
            assert raw.transaction(b"Subject: x\r\n\r\nx") == 250
        remote.wait_mails(1)
    assert server.queue() == []
