"""What is kept of each attempt, and what people are told of it: attempts, trace, incidents; what a
restart keeps; mail when evidence cannot be kept."""
import csv
import io
import json

from harness import Raw, message, wait_until

CAPACITY = "452 4.3.1 Insufficient system resources"
RETRY = {"initial_retry": "1h", "next_retry": "1h", "jitter": "0%"}


def folder(server):
    return server.folder / "var" / "evidence"  # the default, beside the spool


def ask(server, *arguments):
    return server.tool(*arguments, "--directory", folder(server), check=0).stdout


def attempts(server, *options):
    return [json.loads(line) for line in ask(server, "attempts", "--json", *options).splitlines()]


def submit(server, recipients=("b@rcpt.test",), **headers):
    with Raw(server) as client:
        assert client.transaction(message(**headers), recipients=[r.encode() for r in recipients]) == 250


def wait_attempts(server, count, *options):
    return wait_until(lambda: len(found := attempts(server, *options)) >= count and found,
                      f"{count} attempts in the ledger")


def test_every_attempt_is_kept_with_its_reply(make_server, make_remote):
    remote = make_remote(rule=lambda phase, argument, _talk:
                         CAPACITY if phase == "dot" and b"X-Seq: 1\r\n" in argument else None)
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    for number in (0, 1):
        submit(server, X_Seq=number)
    found = {a["code"]: a for a in wait_attempts(server, 2)}
    refused, taken = found[452], found[250]
    assert (refused["class"], refused["result"], refused["enhanced"]) == ("capacity", "deferred", "4.3.1")
    assert refused["phase"] == "end of data" and refused["reply"] == CAPACITY
    assert (refused["recipient"], refused["domain"], refused["attempt"]) == ("b@rcpt.test", "rcpt.test", 1)
    assert refused["own_relay"] == 1 and refused["source"] == "default" and refused["local"]
    assert taken["result"] == "delivered" and taken["delivered"] == 1 and taken["class"] == "none"
    assert attempts(server, "--class", "capacity") == [refused]
    assert attempts(server, "--code", "2") == [taken]
    rows = list(csv.DictReader(io.StringIO(
        ask(server, "attempts", "--csv"), newline="")))
    assert {row["reply"] for row in rows} == {refused["reply"], taken["reply"]}
    text = ask(server, "trace", refused["id"])
    assert CAPACITY in text and "deferred" in text
    assert refused["id"] in ask(server, "trace", "b@rcpt.test")


def test_too_many_recipients_go_in_smaller_batches_at_once(make_server, make_remote):
    """452 4.5.3 is about our batch: what was too many is the next one, and nothing waits."""
    taken = []

    def rule(phase, _argument, _talk):
        if phase == "mail":
            taken.append(0)
        if phase == "rcpt":
            taken[-1] += 1
            return "452 4.5.3 Too many recipients" if taken[-1] > 10 else None
        return None

    remote = make_remote(rule=rule)
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    submit(server, [f"r{n}@rcpt.test" for n in range(35)])
    server.wait_queue_length(0)
    got = [rcpt for mail in remote.mails for rcpt in mail.recipients]
    assert len(got) == 35 and len(set(got)) == 35
    assert taken[:1] == [35] and all(count <= 10 for count in taken[1:])


def test_a_restart_keeps_incident_and_limits(make_server, make_remote):
    remote = make_remote(rule=lambda phase, _argument, _talk: CAPACITY if phase == "dot" else None)
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY,
                         lanes={"tick": "200ms", "minute": "1s", "window": "1m", "sample_min": 20,
                                "hits_min": 3}).start()
    for number in range(60):
        submit(server, [f"r{number}@rcpt.test"])
    server.wait_log(r"incident_opened .*lane=")
    lane = wait_until(lambda: next((lane for lane in lanes(server) if lane["band"] == "incident"), None),
                      "the lane in its incident")
    wait_until(lambda: "incident" in ask(server, "incidents"), "the incident")
    server.restart()
    again = next(other for other in lanes(server) if other["name"] == lane["name"])
    assert again["band"] == "incident"
    for limit in ("controller", "full"):  # slots that rest are not kept
        assert again["connections"][limit] == lane["connections"][limit]
    assert again["incident"] == lane["incident"]
    text = ask(server, "incidents", "show", str(lane["incident"]))
    assert CAPACITY in text and "our-side" in text  # a smart host is ours
    submit(server, ["one-more@rcpt.test"])
    wait_until(lambda: json.loads(ask(server, "incidents", "show", str(lane["incident"]), "--json"))["refusals"] > 60,
               "the incident to go on")
    assert "incident_opened" not in server.log()  # nobody is woken a second time


def lanes(server):
    return json.loads(server.tool("lanes", "--json", check=0).stdout)["lanes"]


def test_mail_goes_on_without_a_ledger(make_server, make_remote, tmp_path):
    remote = make_remote()
    (tmp_path / "file").write_text("in the way")
    server = make_server(delivery={"smart_host": remote.address},
                         evidence={"directory": str(tmp_path / "file" / "evidence")}).start()
    server.wait_log(r"ledger_error .*no evidence is kept")
    submit(server)
    wait_until(lambda: len(remote.mails) == 1, "the mail")


def test_a_damaged_ledger_is_set_aside(make_server, make_remote):
    remote = make_remote()
    server = make_server(delivery={"smart_host": remote.address}).start()
    submit(server)
    wait_attempts(server, 1)
    server.stop()
    ledger = folder(server) / "ledger.sqlite"
    ledger.write_bytes(b"no database" * 1000)
    for other in ("-wal", "-shm"):
        ledger.with_name(ledger.name + other).unlink(missing_ok=True)
    server.start()
    submit(server)
    assert len(wait_attempts(server, 1)) == 1
    assert list(ledger.parent.glob("ledger.sqlite.damaged-*"))
