"""The sender's discipline with the real thing: a provider that is short of capacity beside one that is
well. `penstock sink` plays both: it answers as told by the clock, and counts what it gets."""
import contextlib
import json
import signal
import subprocess

from harness import BINARY, background, free_port, new_host, run_tool, wait_until

CAPACITY = "452 4.3.1 Insufficient system resources"
MESSAGES = 3000
RATE = 250  # a second: the whole takes 12 s
SICK = "microsoft-365/default"
WELL = "other.test/default"


@contextlib.contextmanager
def sink(host, port, *options):
    """Yields its process; figures(process) ends it."""
    process = subprocess.Popen([str(BINARY), "sink", "--listen", f"{host}:{port}", "--json", *options],
                               stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def figures(process):
    process.send_signal(signal.SIGTERM)
    return json.loads(process.communicate()[0].splitlines()[-1])


def lanes(server):
    return {lane["name"]: lane for lane in json.loads(server.tool("lanes", "--json", check=0).stdout)["lanes"]}


def test_a_provider_short_of_capacity_beside_one_that_is_well(make_server, make_nameserver):
    sick, well = new_host(), new_host()
    port = free_port(sick)
    dns = make_nameserver()
    dns.add("contoso.test", "MX", "10 contoso-test.mail.protection.outlook.com.")
    dns.add("contoso-test.mail.protection.outlook.com", "A", sick)
    dns.add("other.test", "MX", "10 mx.other.test.")
    dns.add("mx.other.test", "A", well)
    server = make_server(
        **dns.settings(port=port),
        retry={"initial_retry": "1s", "next_retry": "1s", "jitter": "20%"},
        lanes={"tick": "200ms", "minute": "1s", "window": "10s", "sample_min": 100, "hits_min": 3,
               "restore_step": "50%", "step_hold": "1s", "rest": "1s", "spread_max": "2s"},
        log={"level": "notice"}).start()
    with sink(sick, port, "--schedule", f"0:reply eod=0.05%:{CAPACITY}", "--schedule", f"3:reply eod=5%:{CAPACITY}",
              "--schedule", "9:clear") as ill, sink(well, port) as other:
        loads = [[BINARY, "load", "--to", server.address, "--messages", MESSAGES, "--rate", RATE, "--sessions", 4,
                  "--rcpt", f"user%d@{domain}"] for domain in ("contoso.test", "other.test")]
        with background(loads[0]) as first, background(loads[1]) as second:
            server.wait_log(r"incident_opened .*lane=" + SICK)
            server.wait_log(rf"lane_changed lane={SICK} .*action=cut")
            assert first.wait(120) == 0 and second.wait(120) == 0
        server.wait_queue_length(0)
        assert lanes(server)[WELL]["band"] in ("normal", "watch")
        wait_until(lambda: lanes(server)[SICK]["band"] == "normal", "the lane to have its limits back")
        connections = lanes(server)[SICK]["connections"]
        assert connections["controller"] == connections["full"]
        got_ill, got_other = figures(ill), figures(other)
    for got in (got_ill, got_other):
        assert (got["messages"], got["lost"], got["duplicates"], got["damaged"]) == (MESSAGES, 0, 0, 0)
    assert f"lane={WELL} " not in "".join(line for line in server.log().splitlines(True) if "lane_" in line)
    tell_tale(server, sick)


def tell_tale(server, host):
    """The record of the incident is complete, and right."""
    folder = server.folder / "var" / "evidence"

    def read():
        return json.loads(run_tool("incidents", "show", "1", "--json", "--directory", folder, check=0).stdout)

    incident = wait_until(lambda: (told := read())["closed"] and told, "the ledger to know that it is over")
    assert incident["lane"] == SICK and incident["closed"] > incident["opened"] > 0
    assert [item["text"] for item in incident["texts"]["items"]] == [CAPACITY]
    assert [item["text"] for item in incident["domains"]["items"]] == ["contoso.test"]
    assert incident["hosts"]["items"][0]["text"] == "contoso-test.mail.protection.outlook.com"
    assert incident["samples"] and incident["changes"]
    assert incident["verdict"]["side"] == "receiver-side", incident["verdict"]
    lines = run_tool("attempts", "--json", "--class", "capacity", "--directory", folder, check=0).stdout
    refused = [json.loads(line) for line in lines.splitlines()]
    assert {a["peer"] for a in refused} == {host} and {a["provider"] for a in refused} == {"microsoft-365"}
    again = run_tool("trace", refused[0]["id"], "--directory", folder, check=0).stdout
    assert CAPACITY in again and "attempt 2" in again and "delivered, 1 of 1" in again
