"""The suppression list: what a host says of a mailbox for good lists it, and nothing temporary ever
does; what is listed is not tried; what the operator does is durable and takes effect at once."""
import csv
import io
import json
import re

from harness import Raw, message, wait_until

UNKNOWN = "550 5.1.1 No such user here"
RETRY = {"initial_retry": "1s", "next_retry": "1s", "jitter": "0%", "max_queue_time": "4s"}


def submit(server, *recipients, **headers):
    with Raw(server) as client:
        assert client.transaction(message(**headers), recipients=[r.encode() for r in recipients]) == 250


def look(server, *arguments, check=0):
    return server.tool("suppress", *arguments, "--directory", server.folder / "var" / "evidence", check=check).stdout


def listed(server, *options):
    return [json.loads(line) for line in look(server, "list", "--json", "--count", "0", *options).splitlines()]


def addresses(server):
    return {entry["address"] for entry in listed(server)}


def change(server, *arguments, **options):
    return server.tool("suppress", *arguments, **{"check": 0, **options})


def asked_for(remote):
    """The addresses of all RCPTs that the remote host was asked."""
    return re.findall(r"RCPT TO:<([^>]*)>", "\n".join(str(line) for line in remote.commands()))


def refuse(*unknown, reply=UNKNOWN):
    def rule(phase, argument, _talk):
        if phase == "rcpt" and any(name.encode() in argument for name in unknown):
            return reply
        return None
    return rule


def reports(remote):
    return [mail for mail in remote.mails if mail.sender.startswith(b"<>")]


def test_an_unknown_mailbox_is_tried_once(make_server, make_remote):
    remote = make_remote(rule=refuse("Gone@rcpt.test"))
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    submit(server, "Gone@rcpt.test", X_Seq=1)
    entry = wait_until(lambda: listed(server), "the entry")[0]
    assert entry["address"] == "gone@rcpt.test" and entry["kind"] == "automatic"
    assert (entry["code"], entry["enhanced"], entry["class"]) == (550, "5.1.1", "mailbox-unknown")
    assert entry["reply"] == UNKNOWN and remote.address.split(":")[0] in entry["host"]
    remote.wait_mails(1)  # the report
    before = len(asked_for(remote))

    submit(server, "gone@RCPT.test", X_Seq=2)
    wait_until(lambda: len(reports(remote)) == 2, "the second report")
    assert [a for a in asked_for(remote)[before:] if "gone" in a.lower()] == []
    report = reports(remote)[1].data
    assert b"Status: 5.1.1" in report and b"not tried: this address is on our suppression list since" in b" ".join(report.split())
    assert UNKNOWN.encode() in b" ".join(report.split())
    server.wait_queue_length(0)
    assert "recipient_suppressed" in server.log()

    text = look(server, "show", "Gone@rcpt.test")
    assert UNKNOWN in text and "a host's permanent reply" in text and entry["id"] in text
    wait_until(lambda: "not tried" in server.tool("trace", "gone@rcpt.test", "--directory",
                                                  server.folder / "var" / "evidence").stdout, "the trace")
    metrics = server.tool("metrics", check=0).stdout
    assert 'penstock_suppression_entries{kind="automatic"} 1' in metrics
    assert "penstock_recipients_suppressed_total 1" in metrics

    server.restart()
    submit(server, "gone@rcpt.test")
    wait_until(lambda: len(reports(remote)) == 3, "the report after the restart")
    assert len([a for a in asked_for(remote) if "gone" in a.lower()]) == 1


def test_the_others_of_a_message_are_delivered(make_server, make_remote):
    remote = make_remote()
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    change(server, "add", "gone@rcpt.test", "--note", "asked us to stop")
    submit(server, "a@rcpt.test", "gone@rcpt.test", "b@rcpt.test")
    submit(server, "gone@rcpt.test", "c@other.test")
    server.wait_queue_length(0)
    remote.wait_mails(4)
    assert sorted(asked_for(remote)) == ["a@rcpt.test", "a@sender.test", "a@sender.test", "b@rcpt.test", "c@other.test"]
    assert all(b"asked us to stop" in b" ".join(mail.data.split()) for mail in reports(remote))
    assert all(b"Status: 5.7.1" in mail.data for mail in reports(remote))


def test_what_is_removed_is_tried_again_and_kept_so(make_server, make_remote):
    remote = make_remote()
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    change(server, "add", "X@rcpt.test", "y@rcpt.test")
    server.kill()  # what was answered is durable
    server.start()
    assert addresses(server) == {"x@rcpt.test", "y@rcpt.test"}
    assert change(server, "remove", "x@RCPT.TEST").stdout == "1 removed\n"
    failed = change(server, "remove", "x@rcpt.test", "nobody", check=1)
    assert "x@rcpt.test: it is not on the list" in failed.stderr and "nobody: " in failed.stderr
    server.kill()
    server.start()
    submit(server, "x@rcpt.test", "y@rcpt.test")
    server.wait_queue_length(0)
    assert "x@rcpt.test" in asked_for(remote) and "y@rcpt.test" not in asked_for(remote)


def test_mail_that_waits_meets_the_list_at_its_next_turn(make_server, make_remote):
    remote = make_remote(rule=refuse("w@rcpt.test", reply="450 4.2.1 Come again"))
    server = make_server(delivery={"smart_host": remote.address},
                         retry={**RETRY, "initial_retry": "1h", "max_queue_time": "4h"}).start()
    submit(server, "w@rcpt.test")
    wait_until(lambda: "w@rcpt.test" in asked_for(remote), "the first attempt")
    change(server, "add", "w@rcpt.test")
    wait_until(lambda: [e for e in server.queue() if e["state"] == "deferred"], "it to wait")
    server.tool("queue", "retry", "--all", check=0)
    wait_until(lambda: reports(remote), "the report")
    server.wait_queue_length(0)
    assert asked_for(remote).count("w@rcpt.test") == 1


def test_nothing_temporary_is_ever_listed(make_server, make_remote):
    replies = {"r452": "452 4.2.2 Mailbox full", "r450": "450 4.1.1 No such user", "r421": "421 4.3.2 No such user",
               "r451": "451 4.1.1 User unknown", "r552": "552 5.2.2 Mailbox full", "r554": "554 5.7.1 Blocked",
               "r550": "550", "r551": "551 5.1.6 User not local; try <x@y.test>", "rgone": UNKNOWN}

    def rule(phase, argument, _talk):
        if phase != "rcpt":
            return None
        return next((reply for name, reply in replies.items() if name.encode() in argument), None)

    remote = make_remote(rule=rule)
    server = make_server(delivery={"smart_host": remote.address, "recipients_per_message_max": 1}, retry=RETRY).start()
    for name in replies:
        submit(server, f"{name}@rcpt.test")
    server.wait_queue_length(0)  # those that were deferred have failed by max_queue_time
    wait_until(lambda: addresses(server), "the one that qualifies")
    assert addresses(server) == {"rgone@rcpt.test"}


def test_automatic_can_be_off(make_server, make_remote):
    remote = make_remote(rule=refuse("gone@"))
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY,
                         suppression={"automatic": False}).start()
    for _ in range(2):
        submit(server, "gone@rcpt.test")
        server.wait_queue_length(0)
    assert asked_for(remote).count("gone@rcpt.test") == 2 and addresses(server) == set()


def test_a_hundred_thousand_make_the_round_trip(make_server, make_remote, tmp_path):
    remote = make_remote(rule=refuse("gone@"))
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    submit(server, "gone@rcpt.test")
    wait_until(lambda: addresses(server), "the automatic entry")
    wanted = tmp_path / "list"
    wanted.write_text("# a list\n\n" + "".join(f"User{n}@d{n % 97}.test\n" for n in range(100_000)))
    done = change(server, "import", wanted, seconds=600)
    assert done.stdout == "100002 lines: 100000 added, 0 replaced, 0 already there, 0 wrong\n"
    exported = look(server, "export")
    rows = {row["address"]: row for row in csv.DictReader(io.StringIO(exported, newline=""))}
    assert len(rows) == 100_001 and rows["gone@rcpt.test"]["reply"] == UNKNOWN
    assert rows["user99999@d89.test"]["kind"] == "operator"
    assert len(listed(server, "--domain", "d1.test")) == len(range(1, 100_000, 97))
    assert len(listed(server, "--kind", "automatic")) == 1

    other = make_server("other", delivery={"smart_host": remote.address}).start()
    done = change(other, "import", "-", stdin=exported, seconds=600)
    assert "100001 added" in done.stdout
    other.restart()
    assert sorted(look(other, "export").splitlines()) == sorted(exported.splitlines())


def test_lines_that_are_wrong_are_told(make_server, make_remote, tmp_path):
    remote = make_remote()
    server = make_server(delivery={"smart_host": remote.address}).start()
    path = tmp_path / "list.csv"
    path.write_text("address,kind,code,class,note\r\n"
                    "a@b.test,operator,,,fine\r\n"
                    "c@d.test,automatic,452,mailbox-unknown,\r\n"
                    "nobody,,,,\r\n"
                    "e@f.test,robot,,,\r\n")
    done = change(server, "import", path, check=1)
    assert f"{path}:3: 'c@d.test': an automatic entry needs a permanent reply code" in done.stderr
    assert f"{path}:4: 'nobody': " in done.stderr and f"{path}:5: kind 'robot'" in done.stderr
    assert done.stdout == "5 lines: 1 added, 0 replaced, 0 already there, 3 wrong\n"
    assert addresses(server) == {"a@b.test"}
    assert "no such" in change(server, "import", tmp_path / "none", check=1).stderr.lower()
    server.stop()
    assert "is 'penstock serve' running?" in change(server, "add", "x@y.test", check=1).stderr
    assert look(server, "list").count("a@b.test") == 1
    look(server, "show", "x@y.test", check=1)


def test_without_evidence_there_is_no_list(make_server, make_remote):
    remote = make_remote(rule=refuse("gone@"))
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY, evidence={"enabled": False}).start()
    assert "evidence.enabled" in change(server, "add", "x@y.test", check=1).stderr
    for _ in range(2):
        submit(server, "gone@rcpt.test")
        server.wait_queue_length(0)
    assert asked_for(remote).count("gone@rcpt.test") == 2
