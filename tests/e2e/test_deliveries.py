"""The delivery log: what became of each recipient, as JSON lines, with the real server."""
import collections
import datetime
import json
import re
import signal
import smtplib
import ssl
import subprocess

from harness import BINARY, HOST, Raw, message, run_tool, wait_until

CAPACITY = "452 4.3.1 Insufficient system resources"
UNKNOWN = "550 5.1.1 No such user"
RETRY = {"initial_retry": "1h", "next_retry": "1h", "jitter": "0%"}
ATTEMPTED = ("delivered", "deferred", "failed")


def files(server):
    return sorted((server.folder / "var/log/deliveries").glob("*"))


def deliveries(server):
    """Every whole line of every file; each must be an object of JSON."""
    lines = b"".join(path.read_bytes() for path in files(server)).splitlines(keepends=True)
    return [json.loads(line.decode("utf-8")) for line in lines if line.endswith(b"\n")]


def wait_events(server, count, *kinds):
    def found():
        events = [event for event in deliveries(server) if not kinds or event["event"] in kinds]
        return len(events) >= count and events
    return wait_until(found, f"{count} events in the delivery log")


def attempts(server):
    text = server.tool("attempts", "--json", "--count", "0", "--directory", server.folder / "var" / "evidence",
                       check=0).stdout
    return [json.loads(line) for line in text.splitlines()]


def submit(server, *recipients, sender=b"a@sender.test", **headers):
    with Raw(server) as client:
        assert client.transaction(message(**headers), sender=sender,
                                  recipients=[r.encode() for r in recipients]) == 250


def when(text):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), text
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_each_outcome_is_a_line_and_the_ledger_agrees(make_server, make_remote):
    busy = {"left": 1}

    def rule(phase, argument, _talk):
        if phase == "rcpt" and b"<unknown@" in argument:
            return UNKNOWN
        if phase == "dot" and b"X-Seq: 1\r\n" in argument and busy["left"]:
            busy["left"] -= 1
            return CAPACITY
        return None

    remote = make_remote(rule=rule)
    server = make_server(delivery={"smart_host": remote.address},
                         retry={**RETRY, "initial_retry": "1s"}).start()
    submit(server, "first@rcpt.test", X_Seq=0, Message_ID="<first@sender.test>")
    submit(server, "second@rcpt.test", X_Seq=1)  # 452, then it is taken
    submit(server, "unknown@rcpt.test", "third@rcpt.test", X_Seq=2)
    server.wait_queue_length(0)
    events = wait_events(server, 10)
    assert collections.Counter(event["event"] for event in events) == {
        "received": 3, "delivered": 4, "deferred": 1, "failed": 1, "dsn": 1}  # the report is delivered, too

    ids = {event["id"] for event in events if event["event"] == "received"}
    by_recipient = {event["recipient"]: event for event in events if event["event"] in ATTEMPTED
                    and event["event"] != "deferred"}
    for event in events:
        assert event["schema"] == 1 and when(event["time"])

    assert by_recipient["first@rcpt.test"]["message_id"] == "<first@sender.test>"
    received = next(event for event in events if event["event"] == "received" and event["recipients"] == 2)
    assert received["sender"] == "a@sender.test" and received["client"] == "127.0.0.1"
    assert received["listener"] == "main" and received["tls"] is False and received["size"] > 100

    deferred, = [event for event in events if event["event"] == "deferred"]
    assert (deferred["code"], deferred["enhanced"], deferred["class"]) == (452, "4.3.1", "capacity")
    assert deferred["reply"] == CAPACITY and deferred["phase"] == "end of data" and deferred["attempt"] == 1
    assert 0.9 <= (when(deferred["next_attempt"]) - when(deferred["time"])).total_seconds() < 60
    taken = by_recipient["second@rcpt.test"]
    assert (taken["event"], taken["attempt"], taken["code"], taken["class"]) == ("delivered", 2, 250, "none")
    assert "next_attempt" not in taken and taken["in_queue_ms"] >= 900
    assert taken["lane"] == f"{taken['provider']}/{taken['source']}" and taken["own_relay"] is True

    failed = by_recipient["unknown@rcpt.test"]
    assert (failed["event"], failed["code"], failed["enhanced"], failed["phase"]) == ("failed", 550, "5.1.1", "rcpt")
    assert failed["domain"] == "rcpt.test" and failed["host"] and failed["peer"] == remote.host
    assert by_recipient["third@rcpt.test"]["event"] == "delivered"  # beside it, in the same attempt
    assert by_recipient["third@rcpt.test"]["attempt"] == failed["attempt"] == 1

    dsn, = [event for event in events if event["event"] == "dsn"]
    assert {event["id"] for event in events if event["event"] in ATTEMPTED} == ids | {dsn["id"]}
    assert dsn["kind"] == "failure" and dsn["original"] == failed["id"] and dsn["id"] not in ids
    assert dsn["recipient"] == "a@sender.test" and dsn["sender"] == ""
    check_against_the_ledger(server, events)


def check_against_the_ledger(server, events):
    kept = wait_until(lambda: len(found := attempts(server)) >= 5 and found, "the attempts in the ledger")
    for outcome in ATTEMPTED:
        lines = [event for event in events if event["event"] == outcome]
        assert len(lines) == sum(attempt[outcome] for attempt in kept), outcome
    for attempt in kept:  # one vocabulary
        line = next(event for event in events if event.get("attempt") == attempt["attempt"]
                    and event["id"] == attempt["id"] and event["recipient"] == attempt["recipient"])
        for name in ("message_id", "sender", "domain", "provider", "source", "local", "host", "peer", "class",
                     "phase", "reply", "code"):
            assert line.get(name, "") == attempt[name], name
        assert line["tls"] == bool(attempt["tls"]) and line["own_relay"] == bool(attempt["own_relay"])


def shown(server, *arguments):
    """What `penstock deliveries --json` tells."""
    result = run_tool("deliveries", "--json", "-c", server.file, *arguments, cwd=server.folder, check=0)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_log_is_read_with_filters_followed_and_with_the_server_down(make_server, make_remote):
    remote = make_remote(rule=lambda phase, argument, _talk:
                         UNKNOWN if phase == "rcpt" and b"<unknown@" in argument else None)
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    process = subprocess.Popen([BINARY, "deliveries", "--follow", "--json", "--event", "failed", "-c", server.file],
                               stdout=subprocess.PIPE, text=True, cwd=server.folder)
    try:
        submit(server, "unknown@one.test", "known@one.test", "known@two.test")
        followed = json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
    assert followed["recipient"] == "unknown@one.test"
    wait_events(server, 3, "delivered")  # the report, too
    server.stop()
    everything = deliveries(server)
    assert sorted(map(str, shown(server))) == sorted(map(str, everything))
    assert [event["event"] for event in shown(server, "--event", "received")] == ["received"]
    assert {event["recipient"] for event in shown(server, "--recipient", "@ONE.test")} == {
        "unknown@one.test", "known@one.test"}
    assert shown(server, "--recipient", "unknown@one.test") == [followed]
    assert shown(server, "--class", followed["class"], "--provider", followed["provider"], "--lane", followed["lane"],
                 "--source", "default") == [followed]
    assert not shown(server, "--provider", "nobody") and not shown(server, "--until", "1h")
    of_id = shown(server, "--id", followed["id"])
    assert collections.Counter(event["event"] for event in of_id) == {"received": 1, "delivered": 2, "failed": 1, "dsn": 1}
    table = run_tool("deliveries", "-c", server.file, "-n", "1", "--event", "failed", cwd=server.folder, check=0).stdout
    assert re.match(r"TIME +EVENT +ID +TRY +RECIPIENT +CLASS +AT +REPLY\n", table)
    assert re.search(r"failed +\w+ +1 +unknown@one\.test +mailbox-unknown +\S+ +550 5\.1\.1 No such user\n", table)
    assert "allowed: received" in run_tool("deliveries", "--event", "lost", check=2).stderr


def test_hosts_that_cannot_be_reached_and_what_operators_end(make_server, make_remote):
    remote = make_remote()
    address = remote.address
    remote.close()
    server = make_server(delivery={"smart_host": address}, retry=RETRY).start()
    submit(server, "one@rcpt.test", "two@rcpt.test")
    submit(server, "three@other.test")
    submit(server, "four@other.test")
    deferred = wait_events(server, 2, "deferred")
    assert {event["class"] for event in deferred} == {"connection"}
    assert all("code" not in event and event["next_attempt"] and event["peer"] for event in deferred)
    server.tool("queue", "hold", "--all", check=0)
    server.tool("queue", "bounce", "--recipient", "three@", check=0)
    server.tool("queue", "remove", "--recipient", "four@", check=0)
    ended = {event["recipient"]: event for event in wait_events(server, 2, "bounced", "removed")}
    assert ended["three@other.test"]["event"] == "bounced" and "administrator" in ended["three@other.test"]["reply"]
    assert ended["four@other.test"]["event"] == "removed" and "attempt" not in ended["four@other.test"]


def test_mail_that_is_too_old_is_deferred_and_then_expired(make_server, make_remote):
    """Beside a recipient that the very same attempt has refused for good: that one failed, and did not expire."""
    asked = {"times": 0}

    def rule(phase, argument, _talk):
        if phase == "rcpt" and b"<unknown@" in argument:
            asked["times"] += 1
            return UNKNOWN if asked["times"] > 1 else "450 4.2.0 later"
        return CAPACITY if phase == "dot" else None

    server = make_server(delivery={"smart_host": make_remote(rule=rule).address},
                         retry={"initial_retry": "1s", "next_retry": "1s", "jitter": "0%", "max_queue_time": "1s"}).start()
    submit(server, "late@rcpt.test", "unknown@rcpt.test")
    expired, = wait_events(server, 1, "expired")
    assert expired["recipient"] == "late@rcpt.test" and expired["reply"] == CAPACITY
    assert (expired["code"], expired["enhanced"]) == (452, "4.3.1") and expired["in_queue_ms"] >= 1000

    def life(recipient):
        return [event for event in sorted(deliveries(server), key=lambda event: event["time"])
                if event.get("recipient") == recipient]

    mine = life("late@rcpt.test")
    assert [event["event"] for event in mine] == ["deferred"] * (len(mine) - 1) + ["expired"]
    assert [("next_attempt" in event) for event in mine] == [True] * (len(mine) - 2) + [False] * 2
    assert [event["event"] for event in life("unknown@rcpt.test")] == ["deferred", "failed"]


def test_tls_is_told_on_both_sides(make_server, make_remote, certificate):
    remote = make_remote()
    remote.use_tls(*certificate)
    server = make_server(delivery={"smart_host": remote.address},
                         tls={"certificate": str(certificate[0]), "key": str(certificate[1])}).start()
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.check_hostname = False
    with smtplib.SMTP(HOST, server.port) as client:
        client.starttls(context=context)
        client.sendmail("a@sender.test", ["b@rcpt.test"], b"Subject: x\r\n\r\nhello\r\n")
    for event in wait_events(server, 2):
        assert event["tls"] is True and event["tls_version"] == "TLSv1.3", event
        assert event["tls_cipher"].startswith("TLS_"), event


def test_hostile_replies_and_addresses_stay_json(make_server, make_remote):
    remote = make_remote(rule=lambda phase, _argument, _talk:
                         b'550 5.7.1 \xff\xfe"}\\ {"event":"delivered"} \x1b[2J caf\xc3\xa9' if phase == "rcpt" else None)
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    submit(server, '"a\\"b"@rcpt.test', sender=b'"x\\\\y"@sender.test')
    failed, = wait_events(server, 1, "failed")
    assert failed["recipient"] == '"a\\"b"@rcpt.test' and failed["sender"] == '"x\\\\y"@sender.test'
    assert '"}\\ {"event":"delivered"}' in failed["reply"] and "caf\u00e9" in failed["reply"]
    assert "\ufffd\ufffd" in failed["reply"] and "\n" not in failed["reply"]


def test_files_are_ended_and_removed_by_size_and_a_reload_turns_them_off(make_server, make_remote):
    server = make_server(delivery={"smart_host": make_remote().address},
                         log={"files": {"file_max": "64KiB", "folder_max": "256KiB", "protocol": False,
                                        "tracking": False}}).start()
    recipients = [f"{'r' * 50}{number}@{'d' * 50}.test" for number in range(90)]
    sent = 0

    def size():
        return sum(path.stat().st_size for path in files(server))

    while not files(server) or files(server)[0].name.endswith("-1.jsonl"):  # until the first file is gone
        submit(server, *recipients)
        sent += 1
        assert size() <= 256 * 1024
    server.wait_queue_length(0)
    assert len(files(server)) > 1 and size() <= 256 * 1024
    assert all(path.stat().st_size <= 64 * 1024 for path in files(server))
    assert len(deliveries(server)) < sent * len(recipients)
    server.write_config(log={"files": {"deliveries": False}})
    server.signal(signal.SIGHUP)
    server.wait_log("config_reloaded")
    before = size()
    submit(server, *recipients)
    server.wait_queue_length(0)
    assert size() == before


def test_a_line_that_a_crash_cut_off_is_removed_and_the_file_goes_on(make_server, make_remote):
    server = make_server(delivery={"smart_host": make_remote().address}).start()
    submit(server, "one@rcpt.test")
    wait_events(server, 1, "delivered")
    server.kill()
    path, = files(server)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])  # a line without its end
    server.start()
    submit(server, "two@rcpt.test")
    wait_until(lambda: {event.get("recipient") for event in deliveries(server)} >= {"one@rcpt.test", "two@rcpt.test"},
               "both lines")
    assert b"".join(path.read_bytes() for path in files(server)).startswith(whole)
    received = [event for event in deliveries(server) if event["event"] == "received"]
    assert len(received) == 2, "no line is lost, none is torn"  # the first may be delivered once more
