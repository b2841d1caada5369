"""SMTP in: what the protocol promises, and what an enemy or a broken client may send."""
import smtplib
import socket
import ssl
import threading

import pytest

import harness
from harness import HOST, PATIENCE, Raw, message, wait_until

MIB = 1 << 20


def is_serving(server):
    """The server still takes a mail."""
    with Raw(server) as client:
        return client.transaction(message()) == 250


# ---- the ordinary ----

def test_smtplib_relays_the_bytes_unchanged(server, remote):
    body = message("line\r\n.dot\r\n..two dots\r\n\r\ntrailing  \r\n")
    with smtplib.SMTP(HOST, server.port) as client:
        assert client.sendmail("a@sender.test", ["b@rcpt.test"], body) == {}
    mail = remote.wait_mails(1)[0]
    assert mail.recipients == [b"b@rcpt.test"]
    assert mail.sender.startswith(b"<a@sender.test>")
    assert mail.data.endswith(body)
    assert mail.data.startswith(b"Received: from ")
    assert b"relay.test" in mail.data[: mail.data.index(b"\r\n\r\n")]


def test_ehlo_offers_what_is_promised(server):
    with Raw(server, helo=False) as client:
        lines = client.ask(b"EHLO client.test\r\n").decode().splitlines()
    offered = {line[4:].split()[0].upper() for line in lines[1:]}
    assert {"PIPELINING", "8BITMIME", "SIZE", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN",
            "LIMITS"} <= offered


def test_helo_and_small_commands(server):
    with Raw(server, helo=False) as client:
        assert client.code(b"HELO client.test\r\n") == 250
        assert client.code(b"NOOP\r\n") == 250
        assert client.code(b"NOOP with words\r\n") == 250
        assert client.code(b"RSET\r\n") == 250
        assert client.code(b"HELP\r\n") in (211, 214)
        assert client.code(b"VRFY <b@rcpt.test>\r\n") == 252
        assert client.code(b"quit\r\n") == 221
        assert client.closed()


def test_pipelined_transactions_in_one_write(server, remote):
    one = (b"MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@rcpt.test>\r\nRCPT TO:<c@rcpt.test>\r\nDATA\r\n")
    with Raw(server) as client:
        for number in range(3):
            client.send(one)
            assert [client.code() for _ in range(4)] == [250, 250, 250, 354]
            client.send(message(X_Seq=number) + b"\r\n.\r\n")
            assert client.code() == 250
    remote.wait_mails(3)
    assert sorted(mail.header("X-Seq") for mail in remote.mails) == ["0", "1", "2"]


def test_bdat_in_chunks(server, remote):
    body = message("chunked\r\n.\r\nnot the end")
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test> BODY=8BITMIME\r\n") == 250
        assert client.code(b"RCPT TO:<b@rcpt.test>\r\n") == 250
        assert client.code(b"BDAT 5\r\n" + body[:5]) == 250
        assert client.code(b"BDAT 0\r\n") == 250
        assert client.code(b"BDAT %d LAST\r\n" % (len(body) - 5) + body[5:]) == 250
    assert remote.wait_mails(1)[0].data.rstrip(b"\r\n").endswith(body)


def test_data_after_bdat_is_out_of_sequence(server):
    with Raw(server) as client:
        client.code(b"MAIL FROM:<a@sender.test>\r\n")
        client.code(b"RCPT TO:<b@rcpt.test>\r\n")
        assert client.code(b"BDAT 2\r\nab") == 250
        assert client.code(b"DATA\r\n") == 503


def test_bdat_without_a_transaction_swallows_its_bytes(server):
    with Raw(server) as client:
        client.send(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
        assert client.code() in (501, 503)
        assert client.code() == 250  # NOOP: the six bytes were data, never a command


def test_null_sender(server, remote):
    with Raw(server) as client:
        assert client.transaction(message(), sender=b"") == 250
    assert remote.wait_mails(1)[0].sender.startswith(b"<>")


def test_1000_recipients(make_server, make_remote):
    remote = make_remote()
    server = make_server(delivery={"smart_host": remote.address}).start()
    recipients = [b"user%d@rcpt.test" % number for number in range(1000)]
    with Raw(server) as client:
        assert client.transaction(message(), recipients=recipients) == 250
    wait_until(lambda: sum(len(mail.recipients) for mail in remote.mails) == 1000, "1000 recipients")
    assert sorted(name for mail in remote.mails for name in mail.recipients) == sorted(recipients)


def test_recipients_over_the_limit_get_452(make_server, remote):
    server = make_server(smtp={"recipients_max": 100}, delivery={"smart_host": remote.address}).start()
    with Raw(server) as client:
        client.code(b"MAIL FROM:<a@sender.test>\r\n")
        codes = [client.code(b"RCPT TO:<u%d@rcpt.test>\r\n" % number) for number in range(102)]
        assert codes == [250] * 100 + [452] * 2
        assert client.code(b"DATA\r\n") == 354
        assert client.code(message() + b"\r\n.\r\n") == 250
    assert len(remote.wait_mails(1)[0].recipients) == 100


def test_10000_header_lines(server, remote):
    lines = b"".join(b"X-Line-%d: value\r\n" % number for number in range(10000))
    body = lines + message()
    with Raw(server) as client:
        assert client.transaction(body) == 250
    assert remote.wait_mails(1)[0].data.endswith(body + b"\r\n")


def test_8_bit_without_8bitmime(server, remote):
    """RFC 6152 asks for an announcement; mail that forgot it is still carried, not damaged."""
    body = message("Grüße, 你好")
    with Raw(server) as client:
        code = client.transaction(body)
    assert code in (250, 554)
    if code == 250:
        assert remote.wait_mails(1)[0].data.endswith(body + b"\r\n")


def test_smtputf8_address(server, make_remote):
    other = make_remote(extensions=("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE"))
    server.write_config(delivery={"smart_host": other.address})
    server.restart()
    with Raw(server) as client:
        assert client.code("MAIL FROM:<ä@sender.test> SMTPUTF8\r\n".encode()) == 250
        assert client.code("RCPT TO:<用户@rcpt.test>\r\n".encode()) == 250
        assert client.code(b"DATA\r\n") == 354
        assert client.code(message() + b"\r\n.\r\n") == 250
    mail = other.wait_mails(1)[0]
    assert mail.recipients == ["用户@rcpt.test".encode()]
    assert b"SMTPUTF8" in mail.sender


def test_utf8_address_without_smtputf8_is_refused(server):
    with Raw(server) as client:
        assert client.code("MAIL FROM:<ä@sender.test>\r\n".encode()) in (501, 550, 553)


@pytest.mark.parametrize("path", [
    b"<simple@rcpt.test>", b"<very.common@rcpt.test>", b"<x+tag@rcpt.test>", b"<a-b_c@rcpt.test>",
    b"<!#$%&'*+-/=?^_`{|}~@rcpt.test>", b'<"quoted"@rcpt.test>', b'<"with space"@rcpt.test>',
    b'<"a\\"b"@rcpt.test>', b'<"a\\\\b"@rcpt.test>', b'<"a@b"@rcpt.test>', b'<"<>"@rcpt.test>', b'<""@rcpt.test>',
    b"<@old.test,@route.test:user@rcpt.test>", b"<user@[192.0.2.1]>", b"<user@[IPv6:2001:db8::1]>",
    b"<postmaster>", b"<Postmaster>", b"<user@xn--bcher-kva.test>",
])
def test_addresses_of_every_form(server, path):
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 250
        assert client.code(b"RCPT TO:" + path + b"\r\n") == 250


@pytest.mark.parametrize("path", [
    b"", b"<>", b"user@rcpt.test>", b"<user@rcpt.test", b"<user>", b"<@rcpt.test>", b"<user@>", b"<a b@rcpt.test>",
    b"<user@-bad.test>", b"<user@bad..test>", b"<.user@rcpt.test>", b"<user.@rcpt.test>", b"<us..er@rcpt.test>",
    b'<"open@rcpt.test>', b"<user@[300.1.1.1]>", b"<user@[IPv6:zz::1]>", b"<user@rcpt.test>x", b"<user@rcpt.test\0>",
    b"<" + b"a" * 65 + b"@rcpt.test>", b"<a@" + b"b" * 64 + b".test>", b"<a@" + b"b." * 130 + b"test>",
    b"<us\x7fer@rcpt.test>", b"<user@rcpt.test> NOTIFY=SOMETIMES",
    b"<user@rcpt.test> FOO=BAR", b"<user@rcpt.test> NOTIFY=NEVER,SUCCESS", b"<user@rcpt.test> ORCPT=",
])
def test_wrong_recipients_are_refused(server, path):
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 250
        assert 500 <= client.code(b"RCPT TO:" + path + b"\r\n") < 600
        assert client.code(b"RCPT TO:<good@rcpt.test>\r\n") == 250


@pytest.mark.parametrize("line, codes", [
    (b"\r\n", (500, 501)), (b" \r\n", (500, 501)), (b"FOO\r\n", (500,)), (b"MAIL\r\n", (501,)), (b"MAIL FROM\r\n", (501,)),
    (b"MAIL TO:<a@b.test>\r\n", (501,)), (b"RCPT TO:<b@rcpt.test>\r\n", (503,)), (b"DATA\r\n", (503,)),
    (b"BDAT\r\n", (501,)), (b"BDAT x\r\n", (501,)), (b"BDAT -1\r\n", (501,)),
    (b"BDAT 99999999999999999999\r\n", (501, 552)), (b"MAIL FROM:<a@b.test> SIZE=x\r\n", (501,)),
    (b"MAIL FROM:<a@b.test> SIZE=99999999999999999999\r\n", (501, 552)),
    (b"MAIL FROM:<a@b.test> BODY=9BIT\r\n", (501, 504)), (b"MAIL FROM:<a@b.test> FOO=1\r\n", (501, 504, 555)),
    (b"EHLO\r\n", (501,)), (b"HELO\r\n", (501,)), (b"VRFY\r\n", (501,)), (b"EXPN list\r\n", (500, 502)),
    (b"TURN\r\n", (500, 502)), (b"\xff\xfe\xfd\r\n", (500,)), (b"A" * 400 + b"\r\n", (500,)),
    (b"GET / HTTP/1.1\r\n", (500, 421)), (b"NO\0OP\r\n", (500, 501)), (b"EHLO a\0b\r\n", (500, 501)),
])
def test_malformed_commands(server, line, codes):
    with Raw(server) as client:
        assert client.code(line) in codes
        # After a BDAT without a size nobody knows where the next command starts: closed.
        assert client.code(b"NOOP\r\n") == (0 if line.startswith(b"BDAT") else 250)
    assert is_serving(server)


def test_commands_out_of_order(server):
    with Raw(server, helo=False) as client:
        assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 503
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 250
        assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 503
        assert client.code(b"DATA\r\n") in (503, 554)
        assert client.code(b"EHLO again.test\r\n") == 250  # also resets
        assert client.code(b"RCPT TO:<b@rcpt.test>\r\n") == 503


def test_too_many_errors_end_the_session(make_server, remote):
    server = make_server(smtp={"errors_max": 10}, delivery={"smart_host": remote.address}).start()
    with Raw(server) as client:
        codes = [client.code(b"WRONG\r\n") for _ in range(15)]
        assert codes[0] == 500 and 421 in codes and codes[-1] == 0


@pytest.mark.parametrize("piece", [b"A" * MIB, b"MAIL FROM:<" + b"a" * MIB + b"@b.test>", b"\0" * MIB, b"\r" * MIB],
                         ids=["letters", "mail", "nul", "cr"])
def test_1_mb_command_line(server, piece):
    before = server.memory_bytes()
    with Raw(server) as client:
        client.send(piece + b"\r\n")
        assert client.code() in (500, 501, 421)
    assert is_serving(server)
    if not harness.SANITIZED:
        assert server.memory_bytes() - before < 8 * MIB


def test_1_mb_line_in_data(server):
    with Raw(server) as client:
        assert client.transaction(message("x" * MIB)) in (500, 550, 552, 554)
        assert client.code(b"NOOP\r\n") == 250
    assert is_serving(server)


@pytest.mark.parametrize("body", [
    b"bare\nlf", b"bare\rcr", b"nul\0byte", b"\r\r\n", b"x\n.\r\nMAIL FROM:<evil@x.test>", b"x\r\n.\nMAIL FROM:<evil@x.test>",
    b"x\n.\nMAIL FROM:<evil@x.test>", b"x\r.\rMAIL FROM:<evil@x.test>", b"x\r\n.\rMAIL FROM:<evil@x.test>",
], ids=repr)
def test_bare_cr_lf_and_nul_are_refused_and_smuggle_nothing(server, remote, body):
    with Raw(server) as client:
        assert client.transaction(message() + b"\r\n" + body) in (500, 550, 554)
        # Exactly one reply: nothing in the body was taken for the end or a command.
        assert client.code(b"NOOP\r\n") == 250
    with Raw(server) as client:
        assert client.transaction(message(X_Seq=1)) == 250
    assert remote.wait_mails(1)[0].header("X-Seq") == "1"


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\rNOOP\r\n", b"NO\nOP\r\n"])
def test_bare_cr_or_lf_in_commands(server, line):
    with Raw(server) as client:
        client.send(line + b"\r\n")
        assert client.code() in (500, 501, 421)


def test_premature_close_at_every_byte(server, remote):
    """Nothing that was not acknowledged arrives, and nothing leaks: the sanitizer build watches."""
    talk = (b"EHLO client.test\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<b@rcpt.test>\r\nDATA\r\n"
            b"Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n")
    # Where the end of data is whole the mail is taken, whether the client hears it or not.
    taken = talk.index(b"\r\n.\r\n") + 5
    whole = 0
    for cut in range(len(talk) + 1):
        client = socket.create_connection((HOST, server.port), PATIENCE)
        client.sendall(talk[:cut])
        if cut % 2:
            client.shutdown(socket.SHUT_WR)
            client.settimeout(PATIENCE)
            while client.recv(65536):
                pass
        client.close()
        whole += cut >= taken
    assert is_serving(server)
    wait_until(lambda: len(remote.mails) > whole // 2, "the whole ones to arrive")
    server.wait_queue_length(0)
    assert len(remote.mails) <= whole + 1


def test_premature_close_in_bdat(server, remote):
    for size in (0, 1, 500, 999):
        client = Raw(server)
        client.code(b"MAIL FROM:<a@sender.test>\r\n")
        client.code(b"RCPT TO:<b@rcpt.test>\r\n")
        client.send(b"BDAT 1000 LAST\r\n" + b"x" * size)
        client.close()
    assert is_serving(server)
    remote.wait_mails(1)


def test_slow_sender_byte_by_byte(server, remote):
    talk = b"MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@rcpt.test>\r\nDATA\r\n"
    with Raw(server) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in talk:
            client.send(bytes([byte]))
        assert [client.code(), client.code(), client.code()] == [250, 250, 354]
        for byte in message() + b"\r\n.\r\n":
            client.send(bytes([byte]))
        assert client.code() == 250
    remote.wait_mails(1)


@pytest.mark.parametrize("said", [b"", b"EHL", b"EHLO c.test\r\nMAIL FROM:<a@sender.test>\r\n"],
                         ids=["nothing", "half a command", "in a transaction"])
def test_command_time_out_says_421(make_server, remote, said):
    server = make_server(smtp={"time_outs": {"command": "1s"}}, delivery={"smart_host": remote.address}).start()
    with Raw(server, helo=False) as client:
        client.send(said)
        codes = []
        wait_until(lambda: codes.append(client.code()) or codes[-1] in (421, 0), "421")
        assert codes[-1] == 421
        assert client.closed()


def test_data_time_out_says_421_and_keeps_nothing(make_server, remote):
    server = make_server(smtp={"time_outs": {"data": "1s"}}, delivery={"smart_host": remote.address}).start()
    with Raw(server) as client:
        client.code(b"MAIL FROM:<a@sender.test>\r\n")
        client.code(b"RCPT TO:<b@rcpt.test>\r\n")
        assert client.code(b"DATA\r\n") == 354
        client.send(message())
        assert client.code() in (421, 451)
        assert client.closed()
    assert server.queue() == []


def test_more_addresses_than_an_envelope_holds(make_server):
    server = make_server(smtp={"recipients_max": 10000},
                         delivery={"smart_host": f"{HOST}:{harness.free_port()}"}).start()
    domain = ".".join(["x" * 60] * 3) + ".test"
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 250
        codes = []
        for first in range(0, 6000, 500):
            client.send(b"".join(b"RCPT TO:<b%d@%s>\r\n" % (i, domain.encode()) for i in range(first, first + 500)))
            codes += [client.code() for _ in range(500)]
        taken = codes.count(250)
        assert taken > 3000 and codes == [250] * taken + [452] * (6000 - taken)
        assert client.code(b"DATA\r\n") == 354
        assert client.code(message() + b"\r\n.\r\n") == 250


def test_slow_reader_of_replies_does_not_grow_the_server(server):
    """A client that pipelines without reading must not make the server hold replies without end."""
    before = server.memory_bytes()
    with Raw(server) as client:
        client.socket.settimeout(1.0)
        sent = 0
        try:
            while sent < 64 * MIB:
                client.send(b"NOOP\r\n" * 10000)
                sent += 60000
        except (socket.timeout, BrokenPipeError, ConnectionResetError):
            pass
        if not harness.SANITIZED:
            assert server.memory_bytes() - before < 16 * MIB
    assert is_serving(server)


def test_size_limit(make_server, remote):
    server = make_server(smtp={"message_size_max": "1MiB"}, delivery={"smart_host": remote.address}).start()
    with Raw(server) as client:
        assert client.enhanced(b"MAIL FROM:<a@sender.test> SIZE=2000000\r\n") == ("552", "5.3.4")
        big = message("\r\n".join(["x" * 900] * 1500))
        assert client.transaction(big) == 552
        assert client.code(b"NOOP\r\n") == 250
    assert is_serving(server)
    remote.wait_mails(1)


def test_a_big_message_costs_little_memory(make_server, remote):
    server = make_server(smtp={"message_size_max": "200MiB"}, delivery={"smart_host": remote.address},
                         spool={"segment_size": "16MiB"}).start()
    with Raw(server) as client:
        client.transaction(message())
        before = server.memory_bytes()
        client.code(b"MAIL FROM:<a@sender.test>\r\n")
        client.code(b"RCPT TO:<b@rcpt.test>\r\n")
        assert client.code(b"DATA\r\n") == 354
        line = b"x" * 998 + b"\r\n"
        peak = 0
        for _ in range(60):
            client.send(line * 1000)
            peak = max(peak, server.memory_bytes())
        assert client.code(b".\r\n") == 250
    if not harness.SANITIZED:
        assert peak - before < 8 * MIB, f"grew by {peak - before} bytes"
    mails = remote.wait_mails(2, 120)
    assert len(mails[1].data) >= 60_000_000
    assert mails[1].data.count(line) == 60000


def test_received_loop_is_found(server):
    loop = b"Received: from a.test by b.test; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    with Raw(server) as client:
        assert client.transaction(loop * 49 + message()) == 250
        assert client.transaction(loop * 60 + message()) in (550, 554)


def test_not_an_open_relay(make_server, remote):
    server = make_server(relay={"networks": ["192.0.2.0/24"], "domains": ["own.test"]},
                         delivery={"smart_host": remote.address}).start()
    with Raw(server) as client:
        assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 250
        assert client.enhanced(b"RCPT TO:<b@elsewhere.test>\r\n")[1].startswith("5.7.")
        assert client.code(b"RCPT TO:<@own.test:b@elsewhere.test>\r\n") >= 500
        assert client.code(b'RCPT TO:<"b@elsewhere.test"@elsewhere.test>\r\n') >= 500
        assert client.code(b"RCPT TO:<b%elsewhere.test@own.test>\r\n") in (250, 550, 553)
        assert client.code(b"RCPT TO:<b@own.test>\r\n") == 250


def test_too_many_connections_of_one_client(make_server, remote):
    server = make_server(smtp={"connections_per_client_max": 5}, pressure={"internal_networks": []},
                         delivery={"smart_host": remote.address}).start()
    clients = [Raw(server) for _ in range(5)]
    with Raw(server, greet=False) as more:
        assert more.reply().startswith(b"421 4.7.0 ")
        assert more.closed()
    for client in clients:
        client.close()
    wait_until(lambda: _greets(server), "room again")


def _greets(server):
    with Raw(server, greet=False) as client:
        return client.code() == 220


def test_early_talkers(make_server, remote):
    server = make_server(smtp={"greeting_delay": "500ms", "early_talkers_refused": True},
                         delivery={"smart_host": remote.address}).start()
    with Raw(server, greet=False) as client:
        assert client.code(b"EHLO early.test\r\n") in (554, 421)
    with Raw(server) as client:
        assert client.transaction(message()) == 250


def test_early_talkers_are_answered_after_the_delay_where_they_are_allowed(make_server, remote):
    server = make_server(smtp={"greeting_delay": "300ms"}, delivery={"smart_host": remote.address}).start()
    with Raw(server, greet=False) as client:
        client.send(b"EHLO early.test\r\n")
        assert [client.code(), client.code()] == [220, 250]
        assert client.transaction(message()) == 250


# ---- STARTTLS ----

@pytest.fixture
def tls_server(make_server, remote, certificate):
    address = f"{HOST}:{harness.free_port()}"
    server = make_server(delivery={"smart_host": remote.address})
    server.port, server.address = int(address.rpartition(":")[2]), address
    server.write_config(listeners=[{"name": "main", "address": address, "tls": {"mode": "files", "certificate": str(certificate[0]),
                                                                             "key": str(certificate[1])}}])
    return server.start()


def test_starttls_with_smtplib(tls_server, remote):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with smtplib.SMTP(HOST, tls_server.port) as client:
        client.starttls(context=context)
        client.ehlo()
        assert not client.has_extn("starttls")
        client.sendmail("a@sender.test", ["b@rcpt.test"], message())
    assert "TLS" in remote.wait_mails(1)[0].data.decode() or "ESMTPS" in remote.mails[0].data.decode()


@pytest.mark.parametrize("version, works", [("-tls1_3", True), ("-tls1_2", True), ("-tls1_1", False)])
def test_starttls_with_openssl(tls_server, program, version, works):
    result = harness.subprocess.run(
        [program("openssl"), "s_client", "-connect", tls_server.address, "-starttls", "smtp", "-crlf", "-ign_eof", version,
         *(["-cipher", "DEFAULT@SECLEVEL=0"] if not works else [])],
        input="quit\n", capture_output=True, text=True, timeout=60, check=False)
    assert ("221" in result.stdout) == works, result.stdout + result.stderr


def test_command_injection_after_starttls(tls_server, remote):
    """CVE-2011-0411: what came in the clear behind STARTTLS must not count afterwards."""
    with Raw(tls_server) as client:
        client.send(b"STARTTLS\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<b@rcpt.test>\r\n")
        first = client.code()
        if first == 220:
            client.socket = _tls(client.socket)
            if client.socket is not None:
                client.buffer = b""
                assert client.code(b"EHLO c.test\r\n") in (250, 0)
                assert client.code(b"DATA\r\n") in (503, 0)
        else:
            assert 400 <= first < 600
    assert is_serving(tls_server)


def _tls(plain):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(plain)
    except (ssl.SSLError, OSError):
        return None


def test_garbage_instead_of_a_handshake(tls_server):
    with Raw(tls_server) as client:
        assert client.code(b"STARTTLS\r\n") == 220
        client.send(b"this is not TLS at all\r\n" * 10)
        assert client.closed()
    assert is_serving(tls_server)


# ---- shutdown and reload ----

def test_sigterm_says_421_to_open_sessions(make_server, remote):
    server = make_server(delivery={"smart_host": remote.address}).start()
    idle = Raw(server)
    busy = Raw(server)
    busy.code(b"MAIL FROM:<a@sender.test>\r\n")
    busy.code(b"RCPT TO:<b@rcpt.test>\r\n")
    busy.code(b"DATA\r\n")
    busy.send(b"Subject: half\r\n")
    stopper = threading.Thread(target=server.signal, args=(harness.signal.SIGTERM,))
    stopper.start()
    assert idle.code() == 421
    assert idle.closed() and busy.closed()
    stopper.join()
    server.stop()


def test_sighup_reloads_and_a_bad_file_changes_nothing(server, remote):
    server.write_config(smtp={"recipients_max": 100})
    server.signal(harness.signal.SIGHUP)
    server.wait_log("config_reloaded")
    with Raw(server) as client:
        client.code(b"MAIL FROM:<a@sender.test>\r\n")
        assert [client.code(b"RCPT TO:<u%d@rcpt.test>\r\n" % n) for n in range(101)][-1] == 452
    good = server.file.read_text()
    server.file.write_text("smtp:\n  recipients_maxx: 5\n")
    server.signal(harness.signal.SIGHUP)
    server.wait_log("config_refused")
    server.file.write_text(good)
    assert is_serving(server)
    remote.wait_mails(1)


def test_many_sessions_at_once(server, remote):
    clients = [Raw(server) for _ in range(200)]
    for number, client in enumerate(clients):
        client.send(b"MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@rcpt.test>\r\nDATA\r\n")
        assert [client.code() for _ in range(3)] == [250, 250, 354], number
    for number, client in enumerate(clients):
        client.send(message(X_Seq=number) + b"\r\n.\r\n")
    assert [client.code() for client in clients] == [250] * 200
    for client in clients:
        client.close()
    assert {int(mail.header("X-Seq")) for mail in remote.wait_mails(200)} == set(range(200))
