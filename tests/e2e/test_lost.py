"""Nothing lost: the server is killed again and again under load, and every 250 is kept."""
import json
import random
import subprocess

import harness
from harness import BINARY, Raw, free_port, new_host, wait_until
from test_deliver import RETRY


def test_sigkill_again_and_again_under_load(make_server, tmp_path):
    """
    `penstock load` numbers its messages (X-Seq) and writes down which were acknowledged; `penstock
    sink` writes down which arrived. Acknowledged and not arrived must be none; a second copy is
    allowed only of what was in flight at a kill.
    """
    kills = 8 if not harness.SANITIZED else 4
    host = new_host()
    sink_address = f"{host}:{free_port(host)}"
    seen, acknowledged = tmp_path / "seen", tmp_path / "acknowledged"
    sink = subprocess.Popen([str(BINARY), "sink", "--listen", sink_address, "--json", "--seq-log", str(seen)],
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    load = None
    try:
        wait_until(lambda: harness.is_listening(*sink_address.split(":")), "the sink")
        server = make_server(delivery={"smart_host": sink_address}, retry=RETRY, log={"level": "warning"})
        server.start()
        chance = random.Random(1)
        load = subprocess.Popen(
            [str(BINARY), "load", "--to", server.address, "--sessions", "20", "--messages", "1000000", "--size", "2048",
             "--reconnect", "--seq-log", str(acknowledged), "--json"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        for _ in range(kills):
            goal = _lines(acknowledged) + chance.randrange(100, 1500)
            wait_until(lambda: _lines(acknowledged) >= goal or load.poll() is not None, f"{goal} acknowledged", 60)
            assert load.poll() is None, load.communicate()
            server.kill()
            server.start()
        load.terminate()
        load.communicate(timeout=30)
        server.wait_queue_length(0, 180)
        server.stop()
        sink.terminate()
        figures = json.loads(sink.communicate(timeout=30)[0].strip().splitlines()[-1])
    finally:
        for process in (load, sink):
            if process and process.poll() is None:
                process.kill()
                process.communicate()
    promised = set(acknowledged.read_text().split())
    arrived = seen.read_text().split()
    assert len(promised) > 100 * kills
    assert promised <= set(arrived), f"{len(promised - set(arrived))} of {len(promised)} lost"
    doubled = len(arrived) - len(set(arrived))
    # In flight at a kill: what the connections to the sink were busy with, a batch each.
    assert doubled <= kills * 16 * 40, f"{doubled} doubled: {figures}"


def _lines(path):
    try:
        with open(path, "rb") as file:
            return file.read().count(b"\n")
    except FileNotFoundError:
        return 0


def test_kill_between_the_dot_and_the_reply(make_server, make_remote):
    """The remote has taken the mail, we died before we knew: it may come twice, never not at all."""
    remote = make_remote()
    killed = []

    def rule(phase, _argument, _talk):
        if phase == "dot" and not killed:
            killed.append(True)
            server.kill()
        return None

    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    remote.rule = rule
    with Raw(server) as client:
        client.send(b"MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@rcpt.test>\r\nDATA\r\n")
        assert [client.code() for _ in range(3)] == [250, 250, 354]
        client.send(harness.message() + b"\r\n.\r\n")
        code = client.code()
    wait_until(lambda: killed, "the kill")
    wait_until(lambda: server.process is None, "its end")
    server.start()
    if code == 250:
        wait_until(lambda: len(remote.ended) >= 2, "the second copy")
    server.wait_queue_length(0)


def test_delivered_mail_does_not_come_back(make_server, make_remote):
    """Removals are synced lazily, but a clean stop leaves nothing to repeat."""
    remote = make_remote()
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    with Raw(server) as client:
        for number in range(50):
            assert client.transaction(harness.message(X_Seq=number)) == 250
    remote.wait_mails(50)
    server.wait_queue_length(0)
    server.restart()
    assert server.queue() == [] and len(remote.mails) == 50
