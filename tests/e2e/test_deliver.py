"""SMTP and LMTP out: what the far side may do, and what must come of it."""
import email
import email.policy
import pathlib
import socket
import threading

import pytest

import harness
from harness import Raw, message, new_host, wait_until
from remote import CLOSE, HANG, RESET

RETRY = {"initial_retry": "1s", "next_retry": "1s", "jitter": "0%", "max_queue_time": "1h"}
PHASES = ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot")


def only(phase, action, times=None):
    """A rule that acts at one phase, `times` times (None: always)."""
    left = [times]

    def rule(now, _argument, _talk):
        if now != phase or left[0] == 0:
            return None
        if left[0] is not None:
            left[0] -= 1
        return action

    return rule


@pytest.fixture
def relay(make_server, remote):
    """relay(**settings): a server that relays to `remote` and retries soon."""
    def make(**settings):
        base = {"delivery": {"smart_host": remote.address}, "retry": RETRY}
        return make_server(**harness.merge(base, settings)).start()

    return make


def send(server, count=1, sender=b"a@sender.test", recipients=(b"b@rcpt.test",), **headers):
    with Raw(server) as client:
        for number in range(count):
            assert client.transaction(message(**{"X_Seq": number, **headers}), sender, recipients) == 250


def bounce_of(mail):
    """The parts of a DSN: (text, fields of each recipient, the returned part)."""
    parsed = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    text, status, returned = list(parsed.iter_parts())[:3]
    assert status.get_content_type() in ("message/delivery-status", "message/global-delivery-status")
    blocks = status.get_payload()
    return text.get_content(), blocks[0], blocks[1:], returned


# ---- bad days of the far side ----

@pytest.mark.parametrize("action", [CLOSE, RESET], ids=["close", "reset"])
@pytest.mark.parametrize("phase", PHASES)
def test_remote_closes_after_any_command(relay, remote, phase, action):
    if (phase, action) == ("body", RESET):
        action = CLOSE
    remote.rule = only(phase, action, times=1)
    server = relay()
    send(server)
    remote.wait_mails(1)
    server.wait_queue_length(0)


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("code", ["421 4.3.2", "451 4.3.0", "452 4.3.1"])
def test_4xx_at_any_phase_keeps_the_mail(relay, remote, phase, code):
    remote.rule = only(phase, code + " later please", times=1)
    server = relay()
    send(server)
    remote.wait_mails(1)
    server.wait_queue_length(0)


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
def test_5xx_bounces_with_the_remote_text(relay, remote, phase):
    """The DSN goes out by the same smart host, to the sender."""
    refused = []

    def rule(now, argument, talk):
        mine = b"a@sender.test" in argument if now == "mail" else talk.sender and b"a@sender.test" in talk.sender
        if now == phase and mine:
            refused.append(now)
            return "550 5.7.1 not here, \"please\""
        return None

    remote.rule = rule
    server = relay()
    send(server)
    mail = remote.wait_mails(1)[0]
    server.wait_queue_length(0)
    assert len(refused) == 1  # a 5xx is not tried again
    assert mail.sender.startswith(b"<>") and mail.recipients == [b"a@sender.test"]
    text, _about, recipients, _ = bounce_of(mail)
    assert "b@rcpt.test" in text
    assert recipients[0]["Action"] == "failed"
    assert recipients[0]["Status"].startswith("5.7.1")
    assert recipients[0]["Final-Recipient"].replace(" ", "") == "rfc822;b@rcpt.test"
    assert "550 5.7.1 not here" in str(recipients[0]["Diagnostic-Code"])


def test_554_greeting_is_tried_again_or_bounced_but_never_lost(relay, remote):
    remote.rule = only("connect", "554 5.3.2 go away", times=1)
    server = relay()
    send(server)
    mail = remote.wait_mails(1)[0]
    assert mail.sender.startswith(b"<a@") or bounce_of(mail)[2][0]["Action"] == "failed"


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("garbage", [
    b"\x00\xff\xfe\r\n", b"hello\r\n", b"99 low\r\n", b"2500 four digits\r\n", b"250\n", b"\r\n", b"250-never ends\r\n999 x\r\n",
    b"250-one\r\n251 two\r\n", b"x" * 100000 + b"\r\n",
], ids=["binary", "words", "99", "2500", "bare lf", "empty", "broken lines", "mixed codes", "long line"])
def test_remote_answers_garbage(relay, remote, phase, garbage):
    remote.rule = only(phase, garbage, times=1)
    server = relay(delivery={"time_outs": {"greeting": "2s", "ehlo": "2s", "mail": "2s", "rcpt": "2s", "data": "2s",
                                           "data_end": "2s", "quit": "1s"}})
    send(server)
    wait_until(lambda: len(remote.mails) >= 1, "the mail to arrive")
    server.wait_queue_length(0)
    # Garbage after the final dot is the one case where a second copy cannot be excluded.
    assert len(remote.ended) == (2 if phase == "dot" else 1)


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data", "dot"])
def test_reply_of_1_mb_in_many_lines(relay, remote, phase):
    code = {"connect": b"220", "data": b"354"}.get(phase, b"250")
    line = code + b"-" + b"x" * 400 + b"\r\n"
    huge = line * ((1 << 20) // len(line)) + code + b" done\r\n"
    remote.rule = only(phase, huge, times=1)
    server = relay()
    before = server.memory_bytes()
    send(server)
    wait_until(lambda: len(remote.mails) >= 1, "the mail to arrive")
    server.wait_queue_length(0)
    if not harness.SANITIZED:
        assert server.memory_bytes() - before < 16 << 20


def test_reply_text_cannot_forge_log_lines(relay, remote):
    remote.rule = only("rcpt", "450 4.2.0 busy\x01\x1b[31m level=error event=message_delivered \x7f", times=1)
    server = relay()
    send(server)
    remote.wait_mails(1)
    assert "\x1b" not in server.log()


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_hang_before_the_dot_times_out_and_is_tried_again(relay, remote, phase):
    remote.rule = only(phase, HANG, times=1)
    key = {"connect": "greeting"}.get(phase, phase)
    server = relay(delivery={"time_outs": {key: "1s", "quit": "1s"}})
    send(server)
    remote.wait_mails(1)
    server.wait_queue_length(0)


def test_hang_after_the_final_dot_waits_long_enough(relay, remote):
    """RFC 5321, 4.5.3.2.6: ten minutes. A reply that comes late, but in time, makes no second copy."""
    late = threading.Event()

    def slow(talk):
        late.wait(harness.PATIENCE)
        return "250 2.0.0 taken at last"

    remote.rule = only("dot", slow, times=1)
    server = relay(delivery={"time_outs": {"mail": "1s", "rcpt": "1s", "data": "1s", "data_end": "1m"}})
    send(server)
    wait_until(lambda: len(remote.ended) == 1, "the final dot")
    with Raw(server) as client:  # something else happens meanwhile, on another connection
        assert client.transaction(message(X_Seq=7), recipients=(b"c@other.test",)) == 250
    wait_until(lambda: len(remote.mails) == 1, "the other mail")
    server.wait_queue_length(1)
    late.set()
    remote.wait_mails(2)
    server.wait_queue_length(0)
    assert len(remote.ended) == 2


def test_hang_after_the_final_dot_for_ever_is_tried_again(relay, remote):
    remote.rule = only("dot", HANG, times=1)
    server = relay(delivery={"time_outs": {"data_end": "1s"}})
    send(server)
    wait_until(lambda: len(remote.mails) == 1, "the second try")
    server.wait_queue_length(0)
    assert len(remote.ended) == 2


def test_close_after_the_final_dot_is_not_repeated_at_once(relay, remote):
    remote.rule = only("dot", CLOSE, times=1)
    server = relay(retry={"initial_retry": "1h"})
    send(server)
    wait_until(lambda: len(remote.ended) == 1, "the final dot")
    server.wait_log("message_deferred")
    assert len(remote.ended) == 1 and len(server.queue()) == 1


def test_remote_down_then_back(make_server, make_remote):
    host = new_host()
    port = harness.free_port(host)
    server = make_server(delivery={"smart_host": f"{host}:{port}"}, retry=RETRY).start()
    send(server, 5)
    wait_until(lambda: server.log().count("message_deferred") >= 5 or "destination_failed" in server.log(),
               "the deferrals")
    server.wait_queue_length(5)
    remote = make_remote(host=host, port=port)
    wait_until(lambda: len(remote.mails) == 5, "all five")
    server.wait_queue_length(0)


# ---- recipients one by one ----

def test_each_recipient_has_its_own_result(relay, remote):
    tries = []

    def rule(phase, argument, _talk):
        if phase != "rcpt":
            return None
        tries.append(argument)
        if b"gone@" in argument:
            return "550 5.1.1 no such user"
        if b"full@" in argument and sum(b"full@" in each for each in tries) == 1:
            return "452 4.2.2 mailbox full"
        return None

    remote.rule = rule
    server = relay()
    send(server, recipients=(b"good@rcpt.test", b"gone@rcpt.test", b"full@rcpt.test"))
    wait_until(lambda: len(remote.mails) == 3, "two copies and a DSN")
    server.wait_queue_length(0)
    assert sorted(tuple(mail.recipients) for mail in remote.mails) == [
        (b"a@sender.test",), (b"full@rcpt.test",), (b"good@rcpt.test",)]
    assert sum(b"good@" in each for each in tries) == 1
    assert sum(b"gone@" in each for each in tries) == 1


def test_recipients_of_one_destination_share_a_transaction(relay, remote):
    server = relay()
    send(server, recipients=[b"u%d@rcpt.test" % number for number in range(20)])
    assert len(remote.wait_mails(1)[0].recipients) == 20


def test_all_recipients_refused_sends_no_data(relay, remote):
    remote.rule = only("rcpt", "550 5.1.1 nobody")
    server = relay()
    with Raw(server) as client:  # the null sender gets no DSN
        assert client.transaction(message(), sender=b"") == 250
    server.wait_queue_length(0)
    assert remote.ended == []


# ---- connections ----

def test_a_connection_is_used_again(relay, remote):
    server = relay(delivery={"connections_per_destination_max": 1})
    send(server, 20)
    remote.wait_mails(20)
    assert len(remote.talks) == 1


def test_connection_limit_per_destination(relay, remote):
    server = relay(delivery={"connections_per_destination_max": 3})
    at_the_dot, go_on = [], threading.Event()

    def rule(phase, _argument, _talk):
        if phase == "dot" and not go_on.is_set():
            at_the_dot.append(True)
            go_on.wait(harness.PATIENCE)

    remote.rule = rule
    send(server, 50)
    wait_until(lambda: len(at_the_dot) == 3, "three connections to be busy")
    server.wait_queue_length(50)
    assert len(remote.talks) == 3
    go_on.set()
    remote.wait_mails(50)


def test_a_reused_connection_that_closed_costs_no_retry(relay, remote):
    """The far side closes an idle connection; the next mail goes at once over a new one."""
    def rule(phase, _argument, talk):
        return CLOSE if phase in ("mail", "noop", "rset") and talk.number == 0 and talk.remote.mails else None

    remote.rule = rule
    server = relay(delivery={"connections_per_destination_max": 1}, retry={"initial_retry": "1h"})
    send(server, 1)
    remote.wait_mails(1)
    send(server, 1)
    remote.wait_mails(2)
    server.wait_queue_length(0)


def test_messages_per_connection(relay, remote):
    server = relay(delivery={"connections_per_destination_max": 1, "messages_per_connection_max": 5})
    send(server, 20)
    remote.wait_mails(20)
    assert len(remote.talks) >= 4


def test_a_slow_destination_does_not_stop_the_others(make_server, make_remote):
    slow, quick = make_remote(), make_remote()
    slow.rule = only("dot", HANG)
    server = make_server(retry=RETRY, delivery={
        "connections_max": 50, "connections_per_destination_max": 10,
        "routes": [{"domain": "slow.test", "to": slow.address}, {"domain": "*", "to": quick.address}]}).start()
    send(server, 100, recipients=(b"x@slow.test",))
    send(server, 50, recipients=(b"y@quick.test",))
    quick.wait_mails(50)
    assert slow.mails == []
    server.kill()


# ---- extensions ----

def test_without_extensions_and_without_ehlo(make_server, make_remote):
    old = make_remote(rule=lambda phase, *_: "502 5.5.1 what?" if phase == "ehlo" else None)
    server = make_server(delivery={"smart_host": old.address}, retry=RETRY).start()
    send(server)
    old.wait_mails(1)
    assert any(line.upper().startswith(b"HELO") for line in old.commands())


def test_chunking_is_used_where_offered(make_server, make_remote):
    remote = make_remote(extensions=("PIPELINING", "8BITMIME", "SIZE", "CHUNKING", "ENHANCEDSTATUSCODES"))
    server = make_server(delivery={"smart_host": remote.address, "chunking": True}, retry=RETRY).start()
    body = message("\r\n".join([".", "..", "x" * 900] * 300))
    with Raw(server) as client:
        # The dots are doubled on the way in, as RFC 5321 says.
        assert client.transaction(body.replace(b"\r\n.", b"\r\n..")) == 250
    mail = remote.wait_mails(1)[0]
    assert mail.chunked and mail.data.endswith(body + b"\r\n")


def test_size_limit_of_the_remote_bounces_without_sending(make_server, make_remote):
    remote = make_remote(extensions=("PIPELINING", "SIZE 10000"))
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    with Raw(server) as client:
        assert client.transaction(message("\r\n".join(["x" * 900] * 100))) == 250
    mail = remote.wait_mails(1)[0]
    assert bounce_of(mail)[2][0]["Status"].startswith("5.3.4")
    assert len(remote.ended) == 1


def test_smtputf8_to_a_remote_without_it_bounces(relay, remote):
    server = relay()
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test> SMTPUTF8\r\n") == 250
        assert client.code("RCPT TO:<用户@rcpt.test>\r\n".encode()) == 250
        assert client.code(b"DATA\r\n") == 354
        assert client.code(message() + b"\r\n.\r\n") == 250
    mail = remote.wait_mails(1)[0]
    assert mail.sender.startswith(b"<>")


def test_dsn_parameters_are_passed_on(relay, remote):
    server = relay()
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test> RET=HDRS ENVID=abc+2B1\r\n") == 250
        assert client.code(b"RCPT TO:<b@rcpt.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@y.test\r\n") == 250
        assert client.code(b"DATA\r\n") == 354
        assert client.code(message() + b"\r\n.\r\n") == 250
    remote.wait_mails(1)
    lines = b"\n".join(remote.commands()).upper()
    assert b"RET=HDRS" in lines and b"ENVID=ABC+2B1" in lines
    assert b"NOTIFY=SUCCESS,FAILURE" in lines and b"ORCPT=RFC822;X@Y.TEST" in lines


def test_starttls_is_used_where_offered(relay, remote, certificate):
    remote.use_tls(*certificate)
    server = relay()
    send(server)
    assert remote.wait_mails(1)[0].talk.tls


def test_broken_starttls_falls_back_or_keeps_the_mail(relay, remote, certificate):
    """Opportunistic (RFC 7435): a handshake that fails does not hold the mail for good."""
    remote.use_tls(*certificate)
    remote.rule = only("starttls", "454 4.7.0 not now")
    server = relay()
    send(server)
    assert not remote.wait_mails(1)[0].talk.tls


def test_required_tls_never_goes_in_the_clear(relay, remote):
    server = relay(delivery={"tls": "required"})
    send(server)
    server.wait_log("message_deferred|destination_failed|tls_failed|remote_failed")
    assert remote.ended == [] and len(server.queue()) == 1


# ---- LMTP and routes ----

def test_lmtp_over_a_unix_socket_each_recipient_answers(make_server, make_remote, tmp_path):
    path = tmp_path / "lmtp.sock"
    answers = iter(["250 2.0.0 ok", "452 4.2.2 full", "250 2.0.0 ok", "250 2.0.0 ok"])
    store = make_remote(lmtp=True, path=path)
    store.rule = lambda phase, *_: next(answers, "250 2.0.0 ok") if phase == "dot" else None
    server = make_server(retry=RETRY, delivery={"routes": [
        {"domain": "local.test", "to": f"lmtp:unix:{path}"}]}).start()
    send(server, recipients=(b"one@local.test", b"two@local.test", b"three@local.test"))
    wait_until(lambda: len(store.ended) == 2, "the second try")
    server.wait_queue_length(0)
    assert store.ended[1].recipients == [b"two@local.test"]
    assert any(line.startswith(b"LHLO") for line in store.commands())


def test_lmtp_to_a_host(make_server, make_remote):
    store = make_remote(lmtp=True)
    server = make_server(retry=RETRY, delivery={"routes": [
        {"domain": "local.test", "to": f"lmtp:{store.address}"}]}).start()
    send(server, recipients=(b"one@local.test",))
    store.wait_mails(1)


def test_routes_by_domain(make_server, make_remote):
    exact, below, others = make_remote(), make_remote(), make_remote()
    server = make_server(retry=RETRY, delivery={"routes": [
        {"domain": "a.test", "to": exact.address}, {"domain": ".a.test", "to": below.address},
        {"domain": "*", "to": others.address}]}).start()
    send(server, recipients=(b"x@a.test", b"x@b.a.test", b"x@c.test"))
    assert exact.wait_mails(1)[0].recipients == [b"x@a.test"]
    assert below.wait_mails(1)[0].recipients == [b"x@b.a.test"]
    assert others.wait_mails(1)[0].recipients == [b"x@c.test"]


def test_ipv6(make_server, make_remote):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        remote = make_remote(host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback here")
    server = make_server(delivery={"smart_host": remote.address}).start()
    send(server)
    remote.wait_mails(1)


# ---- DSN and time ----

def test_expiry_makes_a_dsn(relay, remote):
    def rule(phase, argument, _talk):
        return "450 4.2.0 never" if phase == "rcpt" and b"b@rcpt.test" in argument else None

    remote.rule = rule
    server = relay(retry={"max_queue_time": "2s"})
    send(server)
    _, about, recipients, _ = bounce_of(remote.wait_mails(1)[0])
    assert about["Reporting-MTA"] == "dns; relay.test" or "relay.test" in about["Reporting-MTA"]
    assert recipients[0]["Action"] == "failed" and recipients[0]["Status"][0] in "45"
    server.wait_queue_length(0)


def test_delay_dsn_once(relay, remote):
    allow = []

    def rule(phase, argument, _talk):
        return "450 4.2.0 wait" if phase == "rcpt" and b"b@rcpt.test" in argument and not allow else None

    remote.rule = rule
    server = relay(retry={"delay_warning": "2s"})
    send(server)
    _, _, recipients, _ = bounce_of(remote.wait_mails(1)[0])
    assert recipients[0]["Action"] == "delayed" and recipients[0]["Status"].startswith("4.")
    tries = len([line for line in remote.commands() if b"b@rcpt.test" in line])
    wait_until(lambda: len([line for line in remote.commands() if b"b@rcpt.test" in line]) > tries + 2, "more tries")
    assert len(remote.mails) == 1
    allow.append(True)
    remote.wait_mails(2)
    server.wait_queue_length(0)


@pytest.mark.parametrize("parameters, dsn", [(b"", True), (b" NOTIFY=NEVER", False), (b" NOTIFY=SUCCESS", False),
                                             (b" NOTIFY=FAILURE", True)])
def test_notify_is_honoured(relay, remote, parameters, dsn):
    remote.rule = lambda phase, argument, talk: (
        "550 5.1.1 no" if phase == "rcpt" and b"b@rcpt.test" in argument else None)
    server = relay()
    with Raw(server) as client:
        client.code(b"MAIL FROM:<a@sender.test>\r\n")
        assert client.code(b"RCPT TO:<b@rcpt.test>" + parameters + b"\r\n") == 250
        client.code(b"DATA\r\n")
        assert client.code(message() + b"\r\n.\r\n") == 250
    if dsn:
        remote.wait_mails(1)
    server.wait_queue_length(0)
    assert len(remote.mails) == dsn


@pytest.mark.parametrize("ret, kind", [(b" RET=FULL", "message/rfc822"), (b" RET=HDRS", "text/rfc822-headers")])
def test_ret_and_envid(relay, remote, ret, kind):
    remote.rule = lambda phase, argument, talk: (
        "550 5.1.1 no" if phase == "rcpt" and b"b@rcpt.test" in argument else None)
    server = relay()
    with Raw(server) as client:
        client.code(b"MAIL FROM:<a@sender.test>" + ret + b" ENVID=id+2B7\r\n")
        client.code(b"RCPT TO:<b@rcpt.test> ORCPT=rfc822;orig@rcpt.test\r\n")
        client.code(b"DATA\r\n")
        assert client.code(message("the body") + b"\r\n.\r\n") == 250
    _, about, recipients, returned = bounce_of(remote.wait_mails(1)[0])
    assert returned.get_content_type() == kind
    assert about["Original-Envelope-Id"] == "id+7"
    assert "orig@rcpt.test" in recipients[0]["Original-Recipient"]


def test_success_dsn_when_the_remote_has_no_dsn(make_server, make_remote):
    remote = make_remote(extensions=("PIPELINING", "SIZE"))
    server = make_server(delivery={"smart_host": remote.address}, retry=RETRY).start()
    with Raw(server) as client:
        client.code(b"MAIL FROM:<a@sender.test>\r\n")
        client.code(b"RCPT TO:<b@rcpt.test> NOTIFY=SUCCESS\r\n")
        client.code(b"DATA\r\n")
        assert client.code(message() + b"\r\n.\r\n") == 250
    wait_until(lambda: len(remote.mails) == 2, "the mail and its report")
    report = next(mail for mail in remote.mails if mail.sender.startswith(b"<>"))
    assert bounce_of(report)[2][0]["Action"] == "relayed"


def test_no_dsn_about_a_dsn(relay, remote):
    remote.rule = only("rcpt", "550 5.1.1 nobody at all")
    server = relay()
    send(server)
    server.wait_queue_length(0)
    server.wait_log("dsn_dropped|dsn_queued")
    assert remote.mails == []


def test_the_queue_outlives_a_restart(make_server, make_remote):
    host = new_host()
    port = harness.free_port(host)
    server = make_server(delivery={"smart_host": f"{host}:{port}"}, retry=RETRY).start()
    send(server, 30)
    server.restart()
    assert len(server.queue()) == 30
    remote = make_remote(host=host, port=port)
    wait_until(lambda: len(remote.mails) >= 30, "all of them")
    server.wait_queue_length(0)
    assert sorted(int(mail.header("X-Seq")) for mail in remote.mails) == list(range(30))


@pytest.mark.parametrize("days", [3, -3])
def test_clock_jump(make_server, make_remote, tmp_path, days):
    """The wall clock jumps under the running server: mail is not lost, and goes on being tried."""
    libraries = list(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("faketime is not installed")
    if harness.SANITIZED:
        pytest.skip("faketime and sanitizers both replace the C library's functions")
    host = new_host()
    port = harness.free_port(host)
    shift = tmp_path / "shift"
    shift.write_text("+0")
    server = make_server(delivery={"smart_host": f"{host}:{port}"}, retry={**RETRY, "max_queue_time": "10d"})
    server.start(env={"LD_PRELOAD": str(libraries[0]), "FAKETIME_TIMESTAMP_FILE": str(shift),
                      "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    send(server, 5)
    wait_until(lambda: server.log().count("message_deferred") >= 5, "the first tries")
    shift.write_text(f"{days:+d}d")
    remote = make_remote(host=host, port=port)
    send(server, 5)
    wait_until(lambda: len(remote.mails) == 10, "all of them")
    server.wait_queue_length(0)
