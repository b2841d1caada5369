"""MX delivery: what the DNS says, and when it times out, fails or lies."""
import dns.message
import dns.rcode
import pytest

import harness
from harness import merge, new_host, wait_until
from nameserver import SILENCE, servfail
from test_deliver import RETRY, bounce_of, send

PORT = 2600  # each remote has an address of its own


@pytest.fixture
def world(make_server, make_nameserver, make_remote):
    """world(records, **settings): a server that asks a scripted name server. Remotes by host()."""
    class World:
        def __init__(self):
            self.dns = make_nameserver()
            self.server = None

        def host(self, name, **options):
            remote = make_remote(host=new_host(), port=PORT, name=name, **options)
            self.dns.add(name, "A", remote.host)
            return remote

        def start(self, **settings):
            base = merge(self.dns.settings(port=PORT), {"retry": RETRY})
            self.server = make_server(**merge(base, settings)).start()
            return self.server

    return World()


def test_mx_preference(world):
    first, second = world.host("mx1.d.test"), world.host("mx2.d.test")
    world.dns.add("d.test", "MX", "20 mx2.d.test.", "10 mx1.d.test.")
    send(world.start(), 3, recipients=(b"x@d.test",))
    first.wait_mails(3)
    assert second.mails == []


def test_next_host_when_the_first_is_down(world):
    second = world.host("mx2.d.test")
    world.dns.add("mx1.d.test", "A", new_host())
    world.dns.add("d.test", "MX", "10 mx1.d.test.", "20 mx2.d.test.")
    send(world.start(retry={"initial_retry": "1h"}), recipients=(b"x@d.test",))
    second.wait_mails(1)


def test_next_host_when_the_first_says_4xx_at_greeting(world):
    first, second = world.host("mx1.d.test"), world.host("mx2.d.test")
    first.rule = lambda phase, *_: "421 4.3.2 busy" if phase == "connect" else None
    world.dns.add("d.test", "MX", "10 mx1.d.test.", "20 mx2.d.test.")
    send(world.start(retry={"initial_retry": "1h"}), recipients=(b"x@d.test",))
    second.wait_mails(1)


def test_equal_preferences_share(world):
    hosts = [world.host(f"mx{number}.d.test") for number in range(2)]
    world.dns.add("d.test", "MX", "10 mx0.d.test.", "10 mx1.d.test.")
    server = world.start(delivery={"messages_per_connection_max": 1})
    send(server, 40, recipients=(b"x@d.test",))
    wait_until(lambda: sum(len(host.mails) for host in hosts) == 40, "all")
    assert all(host.mails for host in hosts)


def test_no_mx_falls_back_to_the_address(world):
    remote = world.host("plain.test")
    send(world.start(), recipients=(b"x@plain.test",))
    remote.wait_mails(1)


def test_cname(world):
    remote = world.host("mx.d.test")
    world.dns.add("alias.test", "CNAME", "d.test.")
    world.dns.add("d.test", "MX", "10 mx.d.test.")
    send(world.start(), recipients=(b"x@alias.test",))
    assert remote.wait_mails(1)[0].recipients == [b"x@alias.test"]


def test_aaaa_only(world, make_remote):
    try:
        remote = make_remote(host="::1", port=harness.free_port("::1"))
    except OSError:
        pytest.skip("no IPv6 loopback here")
    world.dns.add("d.test", "MX", "10 mx6.d.test.")
    world.dns.add("mx6.d.test", "AAAA", "::1")
    send(world.start(delivery={"port": remote.port}), recipients=(b"x@d.test",))
    remote.wait_mails(1)


def test_address_literal(world, make_remote):
    remote = make_remote(host=new_host(), port=PORT)
    send(world.start(), recipients=(f"x@[{remote.host}]".encode(),))
    remote.wait_mails(1)


@pytest.mark.parametrize("records, status", [
    ({("d.test", "MX"): ["0 ."]}, "5.1.10"),  # RFC 7505
    ({}, "5.1.2"),  # the domain does not exist
    ({("d.test", "MX"): ["10 nowhere.test."], ("other.test", "A"): ["127.0.0.9"]}, "5."),
    ({("d.test", "TXT"): ['"no mail here"']}, "5."),  # neither MX nor address
], ids=["null MX", "NXDOMAIN", "MX without address", "no records"])
def test_domains_that_take_no_mail_bounce(world, make_remote, records, status):
    back = world.host("mx.sender.test")
    world.dns.add("sender.test", "MX", "10 mx.sender.test.")
    for (name, kind), values in records.items():
        world.dns.add(name, kind, *values)
    server = world.start()
    send(server, recipients=(b"x@d.test",))
    _, _, recipients, _ = bounce_of(back.wait_mails(1)[0])
    assert recipients[0]["Status"].startswith(status)
    server.wait_queue_length(0)


def wrong_id(query, *_):
    response = dns.message.make_response(query)
    response.id ^= 0x5555
    return response


def wrong_question(query, _name, kind):
    other = dns.message.make_query("evil.test.", kind)
    other.id = query.id
    return dns.message.make_response(other)


def refused(query, *_):
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.REFUSED)
    return response


@pytest.mark.parametrize("trouble", [
    lambda *_: SILENCE, servfail, refused, lambda *_: b"garbage", lambda query, *_: query.to_wire()[:20],
    lambda query, *_: dns.message.make_response(query).to_wire()[:6] + b"\0\5" + query.to_wire()[8:], wrong_id, wrong_question,
    lambda query, *_: b"\0" * 4000,
], ids=["silence", "SERVFAIL", "REFUSED", "garbage", "cut", "promises more", "wrong id", "wrong question", "zeros"])
def test_dns_trouble_keeps_the_mail(world, trouble):
    """Whatever is wrong with the DNS, mail waits; when it is well again, mail goes."""
    remote = world.host("mx.d.test")
    world.dns.add("d.test", "MX", "10 mx.d.test.")
    world.dns.rule = trouble
    server = world.start(dns={"time_out": "1s"})
    send(server, recipients=(b"x@d.test",))
    server.wait_log("message_deferred|dns_failed|destination_failed")
    assert len(server.queue()) == 1
    world.dns.rule = None
    # libunbound remembers for a while that a server failed: retries go on until it asks again.
    wait_until(lambda: len(remote.mails) == 1, "the mail", 2 * harness.PATIENCE)
    server.wait_queue_length(0)


def test_nobody_answers_at_all(make_server):
    """The name server's port is closed."""
    server = make_server(dns={"servers": [f"{new_host()}@5399"], "time_out": "1s"}, retry=RETRY).start()
    send(server, recipients=(b"x@d.test",))
    server.wait_log("message_deferred|dns_failed|destination_failed")
    assert len(server.queue()) == 1


def test_our_own_name_in_the_mx_list(world):
    """RFC 5321, 5.1: hosts of our own preference and worse are not tried; no loop."""
    worse = world.host("worse.d.test")
    better = world.host("better.d.test")
    world.dns.add("relay.test", "A", harness.HOST)
    world.dns.add("d.test", "MX", "10 better.d.test.", "20 relay.test.", "30 worse.d.test.")
    server = world.start()
    send(server, recipients=(b"x@d.test",))
    better.wait_mails(1)
    assert worse.talks == []


def test_we_are_the_best_mx(world):
    back = world.host("mx.sender.test")
    world.dns.add("sender.test", "MX", "10 mx.sender.test.")
    world.dns.add("relay.test", "A", harness.HOST)
    world.dns.add("d.test", "MX", "10 relay.test.", "20 other.d.test.")
    world.dns.add("other.d.test", "A", new_host())
    send(world.start(), recipients=(b"x@d.test",))
    _, _, recipients, _ = bounce_of(back.wait_mails(1)[0])
    assert recipients[0]["Status"].startswith("5.")


def test_an_endless_mx_list(world):
    """500 MX hosts, all down but one far behind: the limit holds and the mail is not lost."""
    world.dns.add("d.test", "MX", *[f"{number} mx{number}.d.test." for number in range(500)])
    for number in range(500):
        world.dns.add(f"mx{number}.d.test", "A", "127.255.255.1")
    server = world.start(delivery={"time_outs": {"connect": "1s"}})
    send(server, recipients=(b"x@d.test",))
    server.wait_log("message_deferred|destination_failed")
    assert len(server.queue()) == 1


def test_cname_loop(world):
    world.dns.add("d.test", "CNAME", "e.test.")
    world.dns.add("e.test", "CNAME", "d.test.")
    server = world.start()
    send(server, sender=b"", recipients=(b"x@d.test",))
    server.wait_log("message_deferred|message_failed|dns_failed")


def test_two_domains_of_one_message(world):
    one, two = world.host("mx.one.test"), world.host("mx.two.test")
    world.dns.add("one.test", "MX", "10 mx.one.test.")
    world.dns.add("two.test", "MX", "10 mx.two.test.")
    send(world.start(), recipients=(b"x@one.test", b"x@two.test"))
    assert one.wait_mails(1)[0].recipients == [b"x@one.test"]
    assert two.wait_mails(1)[0].recipients == [b"x@two.test"]


def test_with_nsd(make_nsd, make_server, make_remote):
    """The same with a real name server: MX, CNAME, null MX, an address alone."""
    remotes = {name: make_remote(host=new_host(), port=PORT) for name in ("mx", "plain")}
    nsd = make_nsd(f"""
d IN MX 10 mx.d
mx.d IN A {remotes["mx"].host}
alias IN CNAME d
plain IN A {remotes["plain"].host}
null IN MX 0 .
sender IN MX 10 mx.d
""")
    server = make_server(dns={"servers": [nsd.address]}, delivery={"port": PORT}, retry=RETRY).start()
    send(server, recipients=(b"x@d.test", b"x@alias.test", b"x@plain.test", b"x@null.test"))
    remotes["plain"].wait_mails(1)
    wait_until(lambda: len(remotes["mx"].mails) >= 2, "two recipients and a DSN")
    server.wait_queue_length(0)
    assert any(mail.sender.startswith(b"<>") for mail in remotes["mx"].mails)
    got = {name for mail in remotes["mx"].mails for name in mail.recipients}
    assert {b"x@d.test", b"x@alias.test", b"a@sender.test"} == got
