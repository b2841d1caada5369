"""penstock sendmail against servers of every mood: what it submits, and with which exit code."""
import re
import resource
import subprocess

import pytest

import harness
from harness import BINARY, free_port, new_host, run_tool
from remote import CLOSE, EXTENSIONS, RESET
from test_deliver import only

OK, USAGE, DATAERR, NOUSER, UNAVAILABLE, TEMPFAIL, NOPERM = 0, 64, 65, 67, 69, 75, 77
MAIL = "Subject: x\n\nhello\n"


def submit(remote, *arguments, stdin=MAIL, check=OK):
    return run_tool("sendmail", "--to", remote.address, *arguments, stdin=stdin, check=check)


@pytest.mark.parametrize("phase, action, code", [
    ("connect", "554 5.3.2 go away", UNAVAILABLE), ("connect", "421 4.3.2 later", TEMPFAIL), ("connect", CLOSE, TEMPFAIL),
    ("connect", b"garbage\r\n", TEMPFAIL), ("connect", b"220-" + b"x" * 100000 + b"\r\n", TEMPFAIL),
    ("mail", "452 4.3.1 Insufficient system resources", TEMPFAIL), ("mail", "550 5.7.1 not you", NOPERM),
    ("rcpt", "550 5.1.1 no such user", NOUSER), ("rcpt", "554 5.7.1 relaying denied", NOPERM),
    ("rcpt", "450 4.2.0 greylisted", TEMPFAIL), ("rcpt", CLOSE, TEMPFAIL), ("data", "451 4.3.0 no", TEMPFAIL),
    ("data", RESET, TEMPFAIL), ("dot", "554 5.6.0 bad message", DATAERR), ("dot", "452 4.3.1 full", TEMPFAIL),
    ("dot", CLOSE, TEMPFAIL), ("quit", CLOSE, OK)])
def test_exit_codes(make_remote, phase, action, code):
    remote = make_remote(rule=only(phase, action))
    result = submit(remote, "-f", "a@sender.test", "b@rcpt.test", check=code)
    assert bool(result.stderr) == (code != OK)
    if isinstance(action, str) and action[0] in "45":
        assert action[4:] in result.stderr


def test_nobody_listens():
    host = new_host()
    result = run_tool("sendmail", "--to", f"{host}:{free_port(host)}", "b@rcpt.test", stdin=MAIL, check=TEMPFAIL)
    assert host in result.stderr


def test_some_recipients_are_refused(make_remote):
    remote = make_remote(rule=lambda phase, argument, _: "550 5.1.1 no such user"
                         if phase == "rcpt" and b"gone" in argument else None)
    result = submit(remote, "-f", "a@sender.test", "b@rcpt.test", "gone@rcpt.test", "c@rcpt.test", check=NOUSER)
    assert "gone@rcpt.test" in result.stderr and "b@rcpt.test" not in result.stderr
    assert remote.wait_mails(1)[0].recipients == [b"b@rcpt.test", b"c@rcpt.test"]


def test_many_recipients_in_several_transactions(make_remote):
    remote = make_remote(extensions=(*EXTENSIONS, "LIMITS RCPTMAX=100"))
    submit(remote, "-f", "a@sender.test", *(f"b{number}@rcpt.test" for number in range(250)))
    mails = remote.wait_mails(3)
    assert sorted(len(mail.recipients) for mail in mails) == [50, 100, 100]
    assert len({mail.data for mail in mails}) == 1


def test_the_same_recipient_twice_is_one(remote):
    submit(remote, "-t", "-f", "a@sender.test", "b@rcpt.test", stdin="To: b@RCPT.test, B <b@rcpt.test>\n\nx\n")
    assert remote.wait_mails(1)[0].recipients == [b"b@rcpt.test"]


def test_the_envelope(remote):
    submit(remote, "-f", "<>", "-N", "never", "-R", "full", "-V", "id=1 +2", "b@rcpt.test")
    mail = remote.wait_mails(1)[0]
    assert mail.sender.startswith(b"<>") and b"RET=FULL" in mail.sender and b"ENVID=id+3D1+20+2B2" in mail.sender
    assert b"NOTIFY=NEVER" in mail.talk.recipient_arguments[0]


def test_what_is_missing_is_added_once(remote):
    submit(remote, "-f", "a@sender.test", "b@rcpt.test", stdin="From: x@y.test\nDate: today\nMessage-ID: <1@y>\n\nhello\n")
    submit(remote, "-f", "a@sender.test", "b@rcpt.test", stdin="hello\n")
    first, second = remote.wait_mails(2)
    assert first.data == b"From: x@y.test\r\nDate: today\r\nMessage-ID: <1@y>\r\n\r\nhello\r\n"
    assert second.header("From") == "a@sender.test" and second.data.endswith(b"\r\n\r\nhello\r\n")
    assert re.fullmatch(r"<\S+@\S+>", second.header("Message-ID")) and second.header("Date").endswith("+0000")


def test_dots_and_line_ends(remote):
    submit(remote, "-i", "-f", "a@s.test", "b@rcpt.test", stdin=b"A: b\r\n\r\n.\n..\r\n.x\rlast")
    assert remote.wait_mails(1)[0].data.endswith(b"\r\n\r\n.\r\n..\r\n.x\r\nlast\r\n")


def test_a_message_of_10_mb_in_little_memory(remote):
    body = b"Subject: x\n\n" + b"0123456789abcdef\n" * 600000
    limit = 8 << 20  # sanitizers need more
    preexec = None if harness.SANITIZED else lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    result = subprocess.run([str(BINARY), "sendmail", "--to", remote.address, "-i", "-f", "a@s.test", "b@rcpt.test"],
                            input=body, capture_output=True, timeout=300, check=False, preexec_fn=preexec)
    assert result.returncode == 0, result.stderr
    assert remote.wait_mails(1)[0].data.count(b"0123456789abcdef\r\n") == 600000


@pytest.mark.parametrize("arguments, code", [
    ((), USAGE), (("--nonsense", "b@rcpt.test"), USAGE), (("-N", "sometimes", "b@rcpt.test"), USAGE),
    (("-R", "half", "b@rcpt.test"), USAGE), (("-V", "x" * 101, "b@rcpt.test"), USAGE), (("-bd",), USAGE),
    (("a b@rcpt.test",), DATAERR), (("b@rcpt..test",), DATAERR), (("b@" + "x" * 300,), DATAERR), (("-t",), USAGE),
    (("-f", "a@@b", "b@rcpt.test"), DATAERR), (("--to", "nonsense", "b@rcpt.test"), USAGE), (("-bi",), OK)])
def test_usage(remote, arguments, code):
    result = submit(remote, *arguments, check=code)
    assert bool(result.stderr) == (code != OK)
    assert remote.mails == []


def test_options_without_a_meaning_are_taken(remote):
    submit(remote, "-oem", "-odb", "-om", "-m", "-n", "-U", "-G", "-B8BITMIME", "-h5", "-OTimeout.x=1d", "-Am", "-em",
           "-pSMTP:h", "-bm", "-f", "a@s.test", "--", "b@rcpt.test")
    remote.wait_mails(1)


def test_bs_waits_for_the_greeting(make_remote):
    def slow_greeting(phase, _argument, talk):
        if phase != "connect":
            return None
        talk.socket.settimeout(0.5)
        try:
            talk.receive()
            return "554 5.5.1 you talk before you are greeted"
        except TimeoutError:
            talk.socket.settimeout(30)
            return None

    remote = make_remote(rule=slow_greeting)
    result = run_tool("sendmail", "--to", remote.address, "-bs", check=OK,
                      stdin="EHLO c.test\r\nMAIL FROM:<a@s.test>\r\nRCPT TO:<b@rcpt.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
    assert result.stdout.startswith("220 ") and result.stdout.rstrip().splitlines()[-1].startswith("221 ")
    remote.wait_mails(1)


def test_bs_ends_when_its_input_ends(remote):
    result = run_tool("sendmail", "--to", remote.address, "-bs", stdin="EHLO c.test\r\n", check=OK)
    assert "250 " in result.stdout
