"""The log files in Exchange's formats, as a reader of CSV takes them: nothing here knows how they
are written."""
import csv
import itertools
import re
import smtplib
import ssl
import uuid

import pytest

import harness
from harness import Raw, message, wait_until
from remote import CLOSE
from test_pressure import MEDIUM, governed, wait_level

PROTOCOL = ("date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,"
            "context").split(",")
CONNECTIVITY = "date-time,session,source,destination,direction,description".split(",")
TRACKING = ("date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,"
            "event-id,internal-message-id,message-id,network-message-id,recipient-address,recipient-status,"
            "total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,"
            "return-path,message-info,directionality,tenant-id,original-client-ip,original-server-ip,custom-data,"
            "transport-traffic-type,log-id,schema-version").split(",")
KINDS = {
    "receive": ("RECV", "SMTP Receive Protocol Log", PROTOCOL),
    "send": ("SEND", "SMTP Send Protocol Log", PROTOCOL),
    "connectivity": ("CONNECTLOG", "Transport Connectivity Log", CONNECTIVITY),
    "tracking": ("MSGTRK", "Message Tracking Log", TRACKING),
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ENDPOINT = re.compile(r"(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+|unix:.*")
SECRET = "c2VjcmV0LXBhc3N3b3Jk"


def read(server, kind):
    """Rows of all files of a kind, as dictionaries; every file and line is looked at, save a last
    line that a running server has not written whole."""
    prefix, log_type, fields = KINDS[kind]
    rows = []
    for file in sorted((server.folder / "var/log" / kind).glob("*"), key=lambda f: int(f.stem.split("-")[1])):
        assert re.fullmatch(prefix + r"\d{8}-\d+\.log", file.name)
        text = file.read_bytes().decode("utf-8")
        lines = text.split("\r\n")
        if server.process and len(lines) < 6:  # its head is being written
            continue
        assert (lines.pop() == "" or server.process) and "\n" not in "".join(lines) and "\r" not in "".join(lines)
        assert lines[0] == "#Software: Penstock" and re.fullmatch(r"#Version: [0-9.]+", lines[1])
        assert lines[2] == "#Log-type: " + log_type
        assert lines[3].startswith("#Date: ") and TIME.fullmatch(lines[3][7:])
        assert lines[4] == "#Fields: " + ",".join(fields)
        assert not any(line.startswith("#") for line in lines[5:])
        for line in lines[5:]:
            values = next(csv.reader([line], strict=True))
            assert len(values) == len(fields), line
            assert TIME.fullmatch(values[0])
            quoted = ['"' + v.replace('"', '""') + '"' if "," in v or '"' in v else v for v in values]
            assert ",".join(quoted) == line, "quoted where it need not be, or not where it must"
            rows.append(dict(zip(fields, values)))
    return rows


def sessions(rows):
    """{id: rows}, each checked to count from 0 without a gap and to have one end."""
    found = {}
    for row in rows:
        assert re.fullmatch(r"[0-9A-F]{16}", row["session-id"])
        found.setdefault(row["session-id"], []).append(row)
    for each in found.values():
        assert [int(row["sequence-number"]) for row in each] == list(range(len(each)))
        assert [row["event"] for row in each].count("+") <= 1
        assert all(row["event"] in "+-<>*" for row in each)
        assert all(row["event"] != "-" for row in each[:-1])
        assert all(ENDPOINT.fullmatch(row["remote-endpoint"]) for row in each)
    return found


def wait_rows(server, kind, condition, what):
    def look():
        rows = read(server, kind)
        return rows if rows and condition(rows) else None

    return wait_until(look, f"{what} in the {kind} log")


def texts(rows, event):
    return [row["data"] for row in rows if row["event"] == event]


def test_all_four_files_of_one_mail(server, remote):
    body = message(Subject='Figures, "final"', **{"Message-ID": "<m1@sender.test>"})
    with Raw(server) as client:
        assert client.transaction(body, recipients=(b'"x,y"@rcpt.test', b"b@rcpt.test")) == 250
        assert client.code(b"QUIT\r\n") == 221
    wait_until(lambda: len(remote.mails) == 1, "the delivery")
    rows = wait_rows(server, "tracking", lambda rows: len(rows) == 2, "both events")
    received, sent = sorted(rows, key=lambda row: row["event-id"])  # of two threads: in any order
    assert (received["source"], received["event-id"]) == ("SMTP", "RECEIVE")
    assert (sent["source"], sent["event-id"]) == ("SMTP", "SEND")
    for row in rows:
        assert row["message-id"] == "<m1@sender.test>" and row["message-subject"] == 'Figures, "final"'
        assert row["recipient-address"] == '"x,y"@rcpt.test;b@rcpt.test' and row["recipient-count"] == "2"
        assert row["sender-address"] == row["return-path"] == "a@sender.test"
        assert int(row["total-bytes"]) > len(body)
        assert uuid.UUID(row["network-message-id"]).variant == uuid.RFC_4122
    assert received["internal-message-id"] == sent["internal-message-id"]
    assert received["network-message-id"] == sent["network-message-id"]
    assert received["log-id"] != sent["log-id"]
    assert (received["client-ip"], received["client-hostname"]) == ("127.0.0.1", "client.test")
    assert received["server-ip"] == harness.HOST and received["connector-id"] == "relay.test\\main"
    assert sent["server-ip"] == remote.address.rpartition(":")[0]
    assert sent["recipient-status"].startswith("250 ")

    session, = sessions(wait_rows(server, "receive", lambda rows: rows[-1]["event"] == "-", "the end")).values()
    assert session[0]["event"] == "+" and session[-1]["context"] == "Local"
    assert session[0]["connector-id"] == "relay.test\\main"
    assert session[0]["local-endpoint"] == server.address
    assert texts(session, "<") == ["EHLO client.test", "MAIL FROM:<a@sender.test>", 'RCPT TO:<"x,y"@rcpt.test>',
                                   "RCPT TO:<b@rcpt.test>", "DATA", "QUIT"]
    replies = texts(session, ">")
    assert len(replies) == 8 and replies[0].startswith("220 ") and replies[1].startswith("250  relay.test ")
    begins = next(row for row in session if row["context"] == "receiving message")
    assert begins["data"] == received["source-context"]
    assert any(row["data"] == f"{len(body) + 2} bytes" and row["context"] == "message received" for row in session)
    assert "hello" not in "".join(itertools.chain(*(row.values() for row in session)))

    last = sent["source-context"].partition(";")[2]
    assert sent["recipient-status"] == f"{last};{last}"
    session, = sessions(wait_rows(server, "send", lambda rows: texts(rows, "<")[-1:] == [last], "the end")).values()
    assert [row["event"] for row in session[:3]] == ["*", "+", "<"]
    assert session[0]["context"] == "attempting to connect" and session[0]["local-endpoint"] == ""
    sending = next(row["context"] for row in session if "sending message" in row["context"])
    assert sending == (f"sending message with RecordId {sent['internal-message-id']} and InternetMessageId "
                       "<m1@sender.test>")
    assert texts(session, ">")[1].startswith("MAIL FROM:<a@sender.test>")
    rows = wait_rows(server, "connectivity", lambda rows: len(rows) == 2, "both steps")
    assert rows[0]["direction"] == "+" and rows[0]["session"] == session[0]["session-id"]
    assert rows[0]["source"] == "SMTP" and rows[0]["destination"] == remote.address
    assert any(row["description"] == f"Established connection to {sent['server-ip']}" for row in rows)
    server.stop()
    last = read(server, "connectivity")[-1]
    assert (last["direction"], last["description"]) == ("-", f"Messages: 1 Bytes: {sent['total-bytes']}")
    session, = sessions(read(server, "send")).values()
    assert session[-1]["event"] == "-"


def test_a_refusal_is_found_by_its_code(make_server, remote):
    """What `data LIKE '452%'` of a log query finds."""
    server = make_server(delivery={"smart_host": remote.address},
                         pressure=governed(memory={**MEDIUM, "history": 0})).start()
    wait_level(server, "medium")
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test> SIZE=48211\r\n") == 452
    rows = wait_rows(server, "receive", lambda rows: rows[-1]["event"] == "-", "the end")
    session, = sessions(rows).values()
    refusal, = [row for row in session if row["data"].startswith("452")]
    assert refusal["event"] == ">"
    assert refusal["data"] == "452 4.3.1 Insufficient system resources (memory)"
    assert session[-1]["context"] == "Remote"
    assert read(server, "tracking") == []  # it never became a message


def test_a_tarpit_is_told_before_the_reply_it_delays(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address},
                         pressure=governed(memory={**MEDIUM, "history": 100000},
                                           tarpit={"start": "200ms", "step": "0", "max": "200ms"})).start()
    wait_level(server, "medium")
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 250
    rows = wait_rows(server, "receive", lambda rows: rows[-1]["event"] == "-", "the end")
    tarpit = next(row for row in rows if row["data"].startswith("Tarpit for "))
    assert tarpit["event"] == "*"
    assert tarpit["data"] == ("Tarpit for '0.00:00:00.2000000' due to "
                              "'452 4.3.1 Insufficient system resources (memory)'")


def test_secrets_and_bodies_are_not_logged(server):
    with Raw(server) as client:
        for line in (f"XLOGIN user {SECRET}", f"AUTHX {SECRET}"):
            assert client.code(line.encode() + b"\r\n") >= 500
    with Raw(server) as client:
        for line in (f"AUTH PLAIN {SECRET}", f"auth login {SECRET}", f"AUTH {SECRET}", SECRET, "AUTH LOGIN", SECRET,
                     SECRET):
            assert client.code(line.encode() + b"\r\n") >= 500
        assert client.transaction(b"Subject: x\r\n\r\n" + SECRET.encode()) == 250
        assert client.code(b"QUIT\r\n") == 221
    rows = wait_rows(server, "receive", lambda rows: [row["event"] for row in rows].count("-") == 2, "both ends")
    unknown, said = (texts(session, "<") for _, session in sorted(sessions(rows).items()))
    assert unknown[1:] == ["XLOGIN <25 bytes>", "AUTHX <20 bytes>"]
    assert said[1:5] == ["AUTH PLAIN <authentication information>", "AUTH login <authentication information>",
                         "AUTH <authentication information>", "<authentication information>"]
    for kind in KINDS:
        for file in (server.folder / "var/log" / kind).glob("*"):
            assert SECRET not in file.read_text()


@pytest.mark.parametrize("line", [b"NOOP " + b"x" * 1900, b"a\x00b", b"\x1b[2J", b"NOOP \xff\xfe,\"", b"NOOP \xc2\x85x", b"#Fields: date-time", b'"', b",,,,"],
                         ids=range(8))
def test_no_bytes_break_a_line(server, line):
    with Raw(server) as client:
        client.code(line + b"\r\n")
        assert client.code(b"QUIT\r\n") == 221
    rows = wait_rows(server, "receive", lambda rows: rows[-1]["event"] == "-", "the end")
    session, = sessions(rows).values()
    said = texts(session, "<")
    assert len(said) == 3 and said[-1] == "QUIT"
    if line.startswith(b"NOOP") and line.isascii():
        assert said[1] == line.decode()
    elif not line.startswith(b"NOOP"):
        assert said[1] == ("<1 byte>" if len(line) == 1 else f"<{len(line)} bytes>")


def test_deferred_failed_and_reported(make_server, make_remote):
    def rule(phase, argument, talk):
        if phase == "rcpt" and b"later" in argument:
            return "452 4.3.1 Insufficient system resources"
        if phase == "rcpt" and b"nobody" in argument:
            return b"550-5.1.1 there is\r\n550 5.1.1 no such user, sorry\r\n"
        return None

    remote = make_remote(rule=rule)
    server = make_server(delivery={"smart_host": remote.address}, log={"files": {"subjects": False}}).start()
    with Raw(server) as client:
        assert client.transaction(message(**{"Message-ID": "<m2@sender.test>"}),
                                  recipients=(b"b@rcpt.test", b"later@rcpt.test", b"nobody@rcpt.test")) == 250
    rows = wait_rows(server, "tracking", lambda rows: len(rows) == 6, "six events")
    assert all(row["message-subject"] == "" for row in rows)
    events = {row["event-id"]: row for row in rows if row["message-id"] == "<m2@sender.test>"}
    assert set(events) == {"RECEIVE", "SEND", "DEFER", "FAIL"}
    defer, fail = events["DEFER"], events["FAIL"]
    assert defer["recipient-address"] == "later@rcpt.test"
    assert defer["source-context"] == defer["recipient-status"] == "452 4.3.1 Insufficient system resources"
    assert fail["recipient-address"] == "nobody@rcpt.test"
    assert fail["recipient-status"] == "550 5.1.1 there is no such user, sorry"
    report = next(row for row in rows if row["event-id"] == "DSN")
    assert report["source"] == "DSN" and report["reference"] == "<m2@sender.test>"
    assert report["recipient-address"] == "a@sender.test" and report["return-path"] == "<>"
    assert [row["event-id"] for row in rows if row["message-id"] == report["message-id"]] == ["DSN", "SEND"]
    rows = wait_rows(server, "send", lambda rows: "452" in {row["data"][:3] for row in rows}, "the deferral")
    found, = [row for row in rows if row["data"].startswith("452")]
    assert found["event"] == "<"
    item = wait_until(lambda: next((i for i in server.queue() if i["state"] == "deferred"), None), "the entry at rest")
    server.tool("queue", "remove", item["id"], check=0)
    rows = wait_rows(server, "tracking", lambda rows: len(rows) == 7, "the removal")
    removed, = [row for row in rows if row["source"] == "ADMIN"]
    assert removed["event-id"] == "FAIL" and removed["recipient-address"] == "later@rcpt.test"


def test_a_host_that_cannot_be_reached(make_server):
    host = harness.new_host()
    port = harness.free_port(host)
    server = make_server(delivery={"smart_host": f"{host}:{port}"}).start()
    with Raw(server) as client:
        assert client.transaction(message(**{"Message-ID": "<m3@sender.test>"})) == 250
    rows = wait_rows(server, "tracking", lambda rows: len(rows) == 2, "the deferral")
    assert {row["event-id"] for row in rows} == {"RECEIVE", "DEFER"}  # of two threads: in any order
    assert all(row["message-id"] == "<m3@sender.test>" for row in rows)
    session, = sessions(wait_rows(server, "send", lambda rows: len(rows) == 2, "the failure")).values()
    assert all(row["event"] == "*" for row in session)
    assert session[-1]["context"].startswith("Failed to connect. ") and "refused" in session[-1]["context"]
    rows = wait_rows(server, "connectivity", lambda rows: len(rows) == 3, "the end")
    assert [row["direction"] for row in rows] == ["+", ">", "-"]
    assert rows[1]["description"].startswith(f"Failed connection to {host} (")
    assert re.fullmatch(r"Messages: 0 Bytes: 0 \(Retry : .*refused.*\)", rows[2]["description"])


def test_hosts_that_are_tried_in_turn(make_server, make_nameserver, make_remote):
    """Each is a session of its own; the first has what DNS said."""
    dns = make_nameserver()
    second = make_remote(host=harness.new_host(), port=2600, name="mx2.d.test")
    dns.add("mx1.d.test", "A", harness.new_host())
    dns.add("mx2.d.test", "A", second.host)
    dns.add("d.test", "MX", "10 mx1.d.test.", "20 mx2.d.test.")
    server = make_server(**dns.settings(port=2600)).start()
    with Raw(server) as client:
        assert client.transaction(message(), recipients=(b"x@d.test", b"y@no.test")) == 250
    second.wait_mails(1)
    server.stop()
    rows = [row for row in read(server, "connectivity") if row["destination"] == "d.test"]
    first, other = [list(each) for _, each in itertools.groupby(rows, lambda row: row["session"])]
    assert [row["direction"] for row in first] == ["+"] + [">"] * (len(first) - 2) + ["-"]
    assert first[0]["description"].startswith("DnsConnectorDelivery ")
    assert first[1]["description"].startswith("DNS server returned no error reported by ")
    assert first[1]["description"].endswith(" (MX d.test: 2)")
    assert any("Failed connection to " in row["description"] for row in first)
    assert other[-1]["description"].startswith("Messages: 1 Bytes: ")
    assert any(row["description"] == f"Established connection to {second.host}" for row in other)
    assert set(sessions(read(server, "send"))) >= {first[0]["session"], other[0]["session"]}
    gone = [row for row in read(server, "connectivity") if row["destination"] == "no.test"]
    assert gone[-1]["direction"] == "-" and gone[-1]["description"].startswith("Messages: 0 Bytes: 0 (Failed : ")
    failed = next(row for row in read(server, "tracking") if row["recipient-address"] == "y@no.test"
                  and row["event-id"] == "FAIL")
    assert failed["source"] == "DNS" and failed["server-ip"] == ""


def test_who_closed(make_server, make_remote):
    remote = make_remote(rule=lambda phase, argument, talk: CLOSE if phase == "mail" else None)
    server = make_server(delivery={"smart_host": remote.address}).start()
    with Raw(server) as client:
        assert client.transaction(message()) == 250
    rows = wait_rows(server, "send", lambda rows: any(row["event"] == "-" for row in rows), "the end")
    assert [row["context"] for row in rows if row["event"] == "-"][0].startswith("Remote")
    rows = wait_rows(server, "receive", lambda rows: rows[-1]["event"] == "-", "the end")
    assert rows[-1]["context"] == "Remote"


def test_tls_is_told(server):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP(harness.HOST, server.port, timeout=harness.PATIENCE) as client:
        client.starttls(context=context)
        client.ehlo("client.test")
    rows = wait_rows(server, "receive", lambda rows: rows[-1]["event"] == "-", "the end")
    told = next(row for row in rows if row["context"] == "TLS negotiation succeeded")
    assert re.fullmatch(r"TLSv1\.[23] with cipher [A-Z0-9_-]+", told["data"])
    assert texts(rows, "<").count("STARTTLS") == 1


def test_a_flood_of_refused_connections_is_bounded(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address}, smtp={"connections_max": 1}).start()
    with Raw(server) as first:
        for _ in range(600):
            with Raw(server, greet=False) as refused:
                assert refused.code() == 421
        assert first.code(b"QUIT\r\n") == 221
    rows = wait_rows(server, "receive", lambda rows: "221" in "".join(r["data"][:3] for r in rows), "the end")
    found = sessions(rows).values()
    turned_away = [s for s in found if any(row["data"].startswith("421") for row in s)]
    assert 1 <= len(turned_away) <= 600
    for session in turned_away:
        assert [row["event"] for row in session] in (["+", ">", "-"], ["+", "*", ">", "-"])
    skipped = sum(int(row["data"]) for row in rows if row["context"].startswith("refused connections before"))
    assert len(turned_away) + skipped <= 600


def test_a_reload_counts_for_new_sessions(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address}, log={"files": {"protocol": False}}).start()
    with Raw(server) as old:
        server.write_config(log={"files": {"protocol": True, "tracking": False}})
        server.tool("config", "reload", check=0)
        with Raw(server) as client:
            assert client.transaction(message()) == 250
            assert client.code(b"QUIT\r\n") == 221
        assert old.code(b"NOOP\r\n") == 250
    rows = wait_rows(server, "receive", lambda rows: rows[-1]["event"] == "-", "the end")
    session, = sessions(rows).values()
    assert "NOOP" not in texts(session, "<")
    assert read(server, "tracking") == []


def test_nothing_is_written_where_all_is_off(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address}, log={"files": {"directory": "none"}}).start()
    with Raw(server) as client:
        assert client.transaction(message()) == 250
    wait_until(lambda: len(remote.mails) == 1, "the delivery")
    assert not (server.folder / "var" / "log").exists()
