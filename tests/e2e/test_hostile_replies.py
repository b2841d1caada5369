"""A remote host's replies are its own text: what they hold of controls, quotes, line ends and formulas must
not reach a terminal, break a line in two, or be computed by a spreadsheet."""
import csv
import io
import json
import re

import pytest

from harness import Raw, message, wait_until

NASTY = (b"4.3.1 \x1b[2J\x1b]0;owned\x07 \x9b31m \xc2\x9b31m \x00\x08\x7f \"quoted\" 'x' \r \xe2\x80\xae\xff\xfe"
         b" a=b level=alert\tid=1 | `x` <script>alert(1)</script>")
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
SENDER = b"=cmd|'/C'!A0@sender.test"


def texts(server):
    """What people and programs are shown, by command."""
    folder = ("--directory", server.folder / "var" / "evidence")
    lane = json.loads(server.tool("lanes", "--json", check=0).stdout)["lanes"][0]["name"]
    for arguments in (("attempts", *folder), ("attempts", "--csv", *folder), ("attempts", "--json", *folder),
                      ("trace", "b@rcpt.test", *folder), ("incidents", "list", *folder),
                      ("incidents", "show", "1", *folder), ("incidents", "show", "1", "--markdown", *folder),
                      ("incidents", "show", "1", "--json", *folder), ("lanes",), ("lanes", "show", lane),
                      ("lanes", "show", lane, "--json"), ("queue", "list"), ("queue", "list", "--json"),
                      ("queue", "show", server.queue()[0]["id"]), ("pressure",), ("metrics",),
                      ("events", "--all"), ("events",), ("deliveries",), ("deliveries", "--json")):
        yield arguments, server.tool(*arguments, stdin=b"").stdout


@pytest.mark.parametrize("phase", ["connect", "ehlo", "rcpt", "dot"])
def test_what_a_remote_says_stays_text(make_server, make_remote, phase):
    def rule(at, _argument, _talk):
        text = NASTY if phase in ("connect", "ehlo") else NASTY.replace(b"\0", b"").replace(b"\r", b"")
        return b"452-" + text + b"\r\n452-=1+1\r\n452 " + text + b"\r\n" if at in (phase, "helo") else None

    remote = make_remote(rule=rule)
    server = make_server(delivery={"smart_host": remote.address}, evidence={"commit": "50ms"},
                         lanes={"tick": "100ms", "minute": "1s", "window": "60s", "sample_min": 3, "hits_min": 1},
                         retry={"initial_retry": "1s", "next_retry": "1s", "jitter": "0%"}).start()
    for number in range(4):
        with Raw(server) as client:
            assert client.transaction(message(X=number), sender=SENDER) == 250
    if phase in ("rcpt", "dot"):
        server.wait_log("incident_opened")
    folder = ("--directory", server.folder / "var" / "evidence")
    rows = wait_until(lambda: list(csv.DictReader(io.StringIO(server.tool(
        "attempts", "--csv", *folder, check=0).stdout, newline=""))), "attempts in the ledger")
    for row in rows:
        assert not any(value[:1] in ("=", "+", "-", "@") for value in row.values()), row
    for arguments, shown in texts(server):
        text = shown.decode("utf-8").replace("\r\n", "\n")  # or it is no UTF-8
        bad = HIDDEN.search(text)
        assert not bad, (arguments, text[max(0, bad.start() - 60):bad.end() + 60])
    for line in server.log_file.read_bytes().decode("utf-8").splitlines():
        assert not HIDDEN.search(line), line
        assert not re.match(r"(\"|level=|id=|=1)", line), line
