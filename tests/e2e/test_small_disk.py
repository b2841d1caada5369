"""The spool on a small file system of its own, an ext4 of 64 MiB: full load until it refuses, a disk that
another file fills to the last byte, deliveries on a full disk. Nothing acknowledged is lost, nothing
comes twice, and no client ever sees a broken session."""
import collections
import contextlib
import itertools
import re
import socket
import threading

import pytest

import harness
from harness import Raw, free_port, new_host, wait_until

DISK_MIB = 64
SESSIONS = 30
BODY_BYTES = 40_000
REFUSAL = re.compile(rb"452 4\.3\.1 Insufficient system resources( \([a-z-]+\))?\r\n")
KNOCK_SECONDS = 0.1  # between two tries of a client that was refused


@pytest.fixture
def make_relay(small_disk, make_server):
    """make_relay(**settings): a server on a small disk; its smart host is down until someone listens there."""
    def make(**settings):
        disk = small_disk(DISK_MIB)
        host = new_host()
        base = {"spool": {"directory": str(disk / "spool"), "segment_size": None, "drain_reserve": None},
                "delivery": {"smart_host": f"{host}:{free_port(host)}"},
                "retry": {"initial_retry": "1h", "next_retry": "1h", "jitter": "0%"},
                "pressure": {"interval": "200ms", "dwell": "1s"}}
        server = make_server(**harness.merge(base, settings))
        server.disk = disk
        return server

    return make


@pytest.fixture
def come_up(make_remote):
    """come_up(server, **options): the smart host listens from now on, and all mail is tried at once."""
    def begin(server, **options):
        host, port = server.settings["delivery"]["smart_host"].rsplit(":", 1)
        remote = make_remote(host=host, port=int(port), **options)
        server.tool("queue", "retry", "--all", check=0)
        return remote

    return begin


class Load:
    """Many sessions that send as fast as they are let. One that is refused stays, and tries again."""

    def __init__(self, server, sessions=SESSIONS, body_bytes=BODY_BYTES):
        self.server, self.body_bytes = server, body_bytes
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.accepted = []       # X-Seq of each message that got 250
        self.refused = collections.Counter()  # sessions that were refused at MAIL, by number
        self.taken_after = 0     # messages accepted by a session that had been refused
        self.late = 0            # 452 at the end of DATA
        self.wrong = []          # whatever should never be
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True)
                        for number in range(sessions)]
        for thread in self.threads:
            thread.start()

    def run(self, session):
        try:
            with Raw(self.server) as client:
                while not self.stopping.is_set():
                    self.send(client, session)
                assert client.ask(b"QUIT\r\n").startswith(b"221"), "QUIT was refused"
        except (OSError, EOFError, AssertionError, ValueError) as error:
            with self.lock:
                self.wrong.append(f"session {session}: {error!r}")

    def send(self, client, session):
        number = next(self.numbers)
        body = harness.message("\r\n".join(["x" * 98] * (self.body_bytes // 100)), X_Seq=number)
        reply = client.ask(b"MAIL FROM:<a@sender.test> SIZE=%d\r\n" % len(body))
        if reply.startswith(b"452"):
            assert REFUSAL.fullmatch(reply), f"refused with {reply!r}"
            with self.lock:
                self.refused[session] += 1
            self.stopping.wait(KNOCK_SECONDS)
            return
        assert reply.startswith(b"250"), f"MAIL: {reply!r}"
        assert client.code(b"RCPT TO:<b@rcpt.test>\r\n") == 250
        assert client.code(b"DATA\r\n") == 354
        reply = client.ask(body + b"\r\n.\r\n")
        with self.lock:
            if reply.startswith(b"250"):
                self.accepted.append(number)
                self.taken_after += session in self.refused
            else:
                assert REFUSAL.fullmatch(reply), f"end of DATA: {reply!r}"
                self.late += 1

    def wait_refused(self):
        """Until every session knows the refusal, and nothing is accepted between two of them."""
        wait_until(lambda: len(self.refused) == len(self.threads) or self.wrong, "all sessions refused")
        assert not self.wrong, self.wrong

    def wait_taken_again(self):
        before = self.taken_after
        wait_until(lambda: self.taken_after > before or self.wrong, "mail to be taken again")
        assert not self.wrong, self.wrong

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(harness.PATIENCE)
            assert not thread.is_alive(), "a session hangs"
        assert not self.wrong, self.wrong
        assert self.late <= len(self.accepted) // 100, f"{self.late} refused at the end of DATA"


def delivered(remote):
    return sorted(int(mail.header("X-Seq")) for mail in remote.mails)


def wait_delivered(remote, accepted):
    """Each message that got 250 comes, once."""
    wait_until(lambda: len(remote.mails) >= len(accepted), f"{len(accepted)} mails")
    assert delivered(remote) == sorted(accepted)


@contextlib.contextmanager
def full_disk(folder):
    """Another file takes every byte, and goes again."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.parametrize("internal", ["127.0.0.0/8", "192.0.2.0/24"], ids=["internal", "external"])
def test_full_load_refuses_then_drains_and_takes_again(make_relay, come_up, internal):
    server = make_relay(pressure={"internal_networks": [internal]}).start()
    load = Load(server)
    load.wait_refused()
    at_refusal = len(load.accepted)
    assert at_refusal * BODY_BYTES > DISK_MIB * 2**20 // 3, "the disk was refused half empty"
    server.wait_log(r"event_id=15004 .*resource=server cause=spool_disk from=normal to=(medium|high)")
    server.wait_log(r"event_id=15006 .*resource=spool_disk")
    remote = come_up(server)
    load.wait_taken_again()  # by itself, while it drains
    load.stop()
    assert len(load.accepted) > at_refusal
    server.tool("queue", "retry", "--all", check=0)
    wait_delivered(remote, load.accepted)
    server.wait_queue_length(0)
    wait_normal(server)
    server.stop()


def wait_normal(server):
    """The level falls where its event says it does: at the recovery threshold or below."""
    found = server.wait_log(r"event_id=15005 .*resource=server cause=spool_disk from=[a-z]+ to=normal "
                            r"value=(\d+) unit=bytes threshold=(\d+)")
    assert int(found.group(1)) <= int(found.group(2))


def test_another_file_fills_the_disk_and_goes(make_relay, come_up):
    server = make_relay().start()
    remote = come_up(server)
    load = Load(server, sessions=8)
    for _ in range(2):
        wait_until(lambda: len(load.accepted) > 20 or load.wrong, "some mail")
        with full_disk(server.disk):
            load.refused.clear()
            load.wait_refused()
        load.wait_taken_again()
    load.stop()
    wait_normal(server)
    wait_delivered(remote, load.accepted)
    server.wait_queue_length(0)
    server.stop()


def test_full_disk_delivers_and_records_it(make_relay, come_up):
    """With not one byte free: some are delivered, some deferred, some wait; a kill and a start later nothing
    comes twice but what was in flight, and nothing is missing."""
    # The remote refuses a fifth for want of capacity, whatever it is offered: no slot is to rest for it.
    server = make_relay(delivery={"connections_per_destination_max": 10}, lanes={"rest": 0}).start()
    load = Load(server)
    load.wait_refused()
    load.stop()
    with full_disk(server.disk):
        lock, taken = threading.Lock(), collections.Counter()
        limit = len(load.accepted) // 2

        def rule(phase, argument, _talk):
            if phase != "dot":
                return None
            number = int(re.search(rb"X-Seq: (\d+)", argument).group(1))
            with lock:
                if number % 5 == 0 or sum(taken.values()) >= limit:
                    return "451 4.3.0 later"
                taken[number] += 1
            return None

        remote = come_up(server, rule=rule)
        wait_until(lambda: sum(taken.values()) >= limit, "half of the mail")
        waiting = len(load.accepted) - limit
        server.wait_queue_length(waiting)
        make_durable(server)
        server.kill()
        server.start()
        assert len(server.queue()) == waiting
        remote.rule = None

        def has_all():
            # What was on its way under the old rule is deferred after the first of these.
            server.tool("queue", "retry", "--all", check=0)
            return len(remote.mails) >= len(load.accepted)

        wait_until(has_all, "the rest of the mail")
        server.wait_queue_length(0)
        assert delivered(remote) == sorted(load.accepted)
        server.restart()
        assert server.queue() == [] and len(remote.mails) == len(load.accepted)
    wait_until(lambda: takes_mail(server), "mail to be taken again")
    server.stop()


def make_durable(server):
    """What an operator does is durable at once, and with it all that was recorded before."""
    server.tool("queue", "hold", server.queue()[0]["id"], check=0)
    server.tool("queue", "release", "--held", check=0)


def takes_mail(server):
    with contextlib.suppress(OSError, socket.timeout), Raw(server) as client:
        return client.code(b"MAIL FROM:<a@sender.test> SIZE=1000\r\n") == 250
    return False
