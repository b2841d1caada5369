"""The API on the control socket: pages, actions, who may ask, and what must not hurt the server."""
import http.client
import json
import os
import socket
import subprocess
import sys
import time

import pytest

import harness
from harness import free_port, new_host, run_tool, wait_until
from test_deliver import send


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("penstock", timeout=harness.PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(server, path, body=None, method=None):
    """(status, answer) of one request."""
    connection = Connection(server.socket)
    try:
        connection.request(method or ("POST" if body is not None else "GET"), path,
                           json.dumps(body) if isinstance(body, dict) else body)
        response = connection.getresponse()
        text = response.read()
        if response.getheader("Content-Type") == "application/json":
            return response.status, json.loads(text)
        return response.status, text
    finally:
        connection.close()


def get(server, path):
    status, answer = ask(server, path)
    assert status == 200, answer
    return answer


def act(server, action, **filters):
    """Follows the cursors; the sums."""
    sums = {"matched": 0, "done": 0, "busy": 0}
    cursor = None
    while True:
        status, page = ask(server, "/v1/queue/actions", {"action": action, "filter": filters, "cursor": cursor})
        assert status == 200, page
        for name in sums:
            sums[name] += page[name]
        cursor = page["cursor"]
        if cursor is None:
            return sums


@pytest.fixture
def full(make_server):
    """A server with 30 messages for a smart host that is down."""
    host = new_host()
    server = make_server(delivery={"smart_host": f"{host}:{free_port(host)}"},
                         retry={"initial_retry": "1h", "jitter": "0%"}).start()
    send(server, 30)
    wait_until(lambda: [item["state"] for item in server.queue()] == ["deferred"] * 30, "the deferrals")
    return server


def test_status(full):
    status = get(full, "/v1/status")
    assert status["pid"] == full.process.pid
    assert status["queue"]["entries"] == 30 and status["spool"]["messages"] == 30
    assert status["counters"]["messages_accepted"] == 30
    assert get(full, "/v1/spool")["messages"] == 30


def test_pages_have_every_entry_once(full):
    ids, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = get(full, "/v1/queue?limit=7&details=1" + (f"&cursor={cursor}" if cursor else ""))
        ids += [item["id"] for item in page["items"]]
        cursor = page["cursor"]
        pages += 1
        if pages == 1:
            asked = time.time()
            wait_until(lambda: time.time() > asked + 0.02, "the clock to tick: it tells what is later")
            send(full, 5)  # what comes later stays out
    assert len(ids) == len(set(ids)) == 30 and pages >= 5


def test_a_message_with_history_and_body(full):
    item = get(full, "/v1/queue?limit=1")["items"][0]
    message = get(full, f"/v1/queue/{item['id']}")
    assert message["sender"] == "a@sender.test"
    assert message["recipients"][0]["address"] == "b@rcpt.test"
    assert message["entries"][0]["state"] == "deferred"
    body = get(full, f"/v1/queue/{item['id']}/body")
    assert len(body) == message["bytes"] and body.startswith(b"Received:") and b"\r\n\r\nhello" in body


def test_a_large_body_comes_whole(make_server):
    host = new_host()
    server = make_server(delivery={"smart_host": f"{host}:{free_port(host)}"}, spool={"segment_size": "4MiB"}).start()
    with harness.Raw(server) as client:
        assert client.transaction(b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 150000) == 250
    item = wait_until(lambda: get(server, "/v1/queue")["items"], "the message")[0]
    body = get(server, f"/v1/queue/{item['id']}/body")
    assert body.count(b"0123456789abcdef\r\n") == 150000


def test_actions_need_a_filter_or_all(full):
    for filters in ({}, {"nonsense": 1}, {"older_than_s": "x"}):
        status, answer = ask(full, "/v1/queue/actions", {"action": "remove", "filter": filters})
        assert status == 400 and answer["error"]
    assert get(full, "/v1/status")["queue"]["entries"] == 30
    assert act(full, "hold", all=True)["done"] == 30
    assert get(full, "/v1/status")["queue"]["held"] == 30
    assert act(full, "release", state="held")["done"] == 30
    assert act(full, "remove", sender="nobody@")["matched"] == 0
    wait_until(lambda: get(full, "/v1/status")["queue"]["active"] == 0, "no attempt under way")
    assert act(full, "remove", all=True)["done"] == 30
    wait_until(lambda: get(full, "/v1/spool")["messages"] == 0, "an empty spool")


def test_hold_is_for_the_whole_message(make_server):
    first, second = new_host(), new_host()
    server = make_server(delivery={"routes": [{"domain": "one.test", "to": f"{first}:{free_port(first)}"},
                                              {"domain": "two.test", "to": f"{second}:{free_port(second)}"}]},
                         retry={"initial_retry": "1h", "jitter": "0%"}).start()
    send(server, 1, recipients=(b"a@one.test", b"b@two.test"))
    wait_until(lambda: [item["state"] for item in server.queue()] == ["deferred"] * 2, "the deferrals")
    item = server.queue()[0]
    assert act(server, "hold", destination=item["destination"]) == {"matched": 1, "done": 1, "busy": 0}
    assert {each["state"] for each in server.queue()} == {"held"}
    assert act(server, "retry", all=True)["matched"] == 2
    assert {each["state"] for each in server.queue()} == {"held"}
    message = get(server, f"/v1/queue/{item['id']}")
    assert "held" in message["flags"] and message["history"][-1]["event"] == "hold"
    act(server, "release", id=item["id"])
    assert not {each["state"] for each in server.queue()} & {"held"}


def test_summary(full):
    destinations = get(full, "/v1/queue/summary")["destinations"]
    assert sum(each["entries"] for each in destinations) == 30


def test_reload(full):
    assert ask(full, "/v1/config/reload", "")[0] == 200
    full.file.write_text("nonsense: 1\n", encoding="utf-8")
    # A reload that waits for what is under way is told as well: then it is asked for again.
    wait_until(lambda: "nonsense" in ask(full, "/v1/config/reload", "")[1].get("error", ""), "what is wrong")
    assert ask(full, "/v1/config/reload", "")[0] == 422
    full.write_config()


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/", 404), ("GET", "/v1/queue/zzzzzz", 404), ("GET", "/v1/queue/zzzzzz/body", 404), ("GET", "/v1/queue/..", 404),
    ("GET", "/v1/queue?limit=0", 400), ("GET", "/v1/queue?nonsense=1", 400), ("PUT", "/v1/queue", 405),
    ("POST", "/v1/status", 405), ("POST", "/v1/queue/actions", 400)])
def test_wrong_requests(server, method, path, status):
    got, answer = ask(server, path, "", method)
    assert got == status and answer["error"]


def test_garbage_on_the_socket(server):
    for garbage in (b"\0" * 1000, b"GET", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50000, b"A" * 200000, b"GET /" + b"a" * 100000,
                    b"POST /v1/queue/actions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n",
                    b"POST /v1/queue/actions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(server.socket))
            try:
                raw.sendall(garbage)
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert get(server, "/v1/status")["pid"] == server.process.pid


def test_many_connections_wait_their_turn(server):
    """More than the server takes at once: none is lost."""
    sockets = [socket.socket(socket.AF_UNIX) for _ in range(60)]
    for each in sockets:
        each.settimeout(harness.PATIENCE)
        each.connect(str(server.socket))
        each.sendall(b"GET /v1/spool HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    for each in sockets:
        assert each.recv(100).startswith(b"HTTP/1.1 200")
        each.close()


def test_strangers_get_a_403(server):
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    os.chmod(server.socket, 0o666)
    for folder in [server.socket.parent, *server.socket.parent.parents]:
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    code = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
            "s.sendall(b'GET /v1/status HTTP/1.0\\r\\n\\r\\n'); print(s.recv(100).split()[1].decode())")
    result = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", code, str(server.socket)],
                            capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "403", result.stderr
    server.wait_log(r"control .*status=403 uid=65534")


def test_connections_that_ask_nothing_keep_nobody_out(make_server):
    """As many as there may be, idle: new ones, and ones that have asked. A tool waits for 10 s."""
    server = make_server().start()
    idle = [Connection(server.socket) for _ in range(32)]
    try:
        for number, one in enumerate(idle):
            one.connect()
            if number % 2:
                one.request("GET", "/v1/status")
                assert one.getresponse().read()
        assert "destinations" in run_tool("queue", "summary", "--socket", server.socket, "--json", check=0).stdout
        assert all(one.sock.recv(1) == b"" for one in idle)  # closed, or PATIENCE is over
    finally:
        for one in idle:
            one.close()


def test_the_socket_of_a_killed_server_is_replaced(server):
    server.kill()
    assert server.socket.exists()
    server.start()
    assert get(server, "/v1/status")["pid"] == server.process.pid
    server.stop()
    assert not server.socket.exists()
