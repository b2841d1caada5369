"""What a hostile domain can do to the lanes of others: its owner chooses its MX records and its hosts'
answers, and anybody can have mail sent to it."""
import contextlib
import json

from harness import BINARY, background, free_port, new_host, wait_until

CAPACITY = "452 4.3.1 Insufficient system resources"
LANE = "microsoft-365/default"
FAST = {"tick": "200ms", "minute": "1s", "window": "10s", "sample_min": 100, "hits_min": 3, "rest": "1s"}


def lanes(server):
    return {lane["name"]: lane for lane in json.loads(server.tool("lanes", "--json", check=0).stdout)["lanes"]}


def load(server, domain, count, **options):
    return background([BINARY, "load", "--to", server.address, "--messages", count, "--rate", 100, "--sessions", 2,
                       "--rcpt", f"user%d@{domain}"], **options)


def test_a_hostile_domain_does_not_slow_the_provider_it_names(make_server, make_nameserver, make_remote):
    """Its best MX host is a provider's that does not exist; behind it is one of its own that refuses all."""
    port, good, evil = free_port(), new_host(), new_host()
    dns = make_nameserver()
    dns.add("good.test", "MX", "10 good-test.mail.protection.outlook.com.")
    dns.add("good-test.mail.protection.outlook.com", "A", good)
    dns.add("evil.test", "MX", "10 not-there.mail.protection.outlook.com.", "20 mx.evil.test.")
    dns.add("mx.evil.test", "A", evil)
    dns.add("word.test", "MX", "10 microsoft-365.", "20 mx.evil.test.")
    make_remote(host=good, port=port)
    refusing = make_remote(host=evil, port=port, rule=lambda phase, _argument, _talk:
                           CAPACITY if phase == "dot" else None)
    server = make_server(**dns.settings(port=port), lanes=FAST, log={"level": "info"},
                         retry={"initial_retry": "1s", "next_retry": "1s", "jitter": "20%"}).start()
    with load(server, "good.test", 400) as one, load(server, "evil.test", 100) as two, \
            load(server, "word.test", 100) as three:
        assert [process.wait(120) for process in (one, two, three)] == [0, 0, 0]
    wait_until(lambda: sum(c.startswith(b"MAIL") for talk in refusing.talks for c in talk.commands) > 150,
               "mail to be refused again and again")
    server.tool("lanes", check=0)
    lane = lanes(server)[LANE]
    assert (lane["band"], lane["connections"]["controller"]) == ("normal", lane["connections"]["full"]), lane
    assert f"lane_changed lane={LANE}" not in server.log()
    assert "lane=microsoft-365./default" in server.log() or "microsoft-365./default" in lanes(server)


def test_people_who_watch_keep_nobody_out(make_server, remote, tmp_path):
    """More of them than the control socket takes connections: none is held between two looks."""
    server = make_server(delivery={"smart_host": remote.address}, log={"level": "notice"}).start()
    screens = [tmp_path / f"screen{n}" for n in range(40)]
    with contextlib.ExitStack() as stack:
        for screen in screens:
            stack.enter_context(background([BINARY, "lanes", "--watch", "-c", server.file], log=screen))
        wait_until(lambda: all("lanes" in screen.read_text() for screen in screens), "all to see the lanes", 25)
        server.tool("lanes", check=0)
