"""The governor as an operator meets it: refusals with their token, the screen, health checks, and
thresholds that change while the server runs."""
import json
import os
import signal
import smtplib
import subprocess
import termios
import time
import xml.etree.ElementTree as ElementTree

import pytest

import harness
from harness import BINARY, ROOT, Raw, message, run_tool, wait_until
from test_control import ask, get

# Of the limit that memory is measured against here, any process has more than 1 % and less than
# 99 %; of 1 MiB, more than all.
MEDIUM = {"medium_to_low": "0%", "low_to_medium": "1%", "high_to_medium": "98%", "medium_to_high": "99%"}
CALM = {"medium_to_low": "96%", "low_to_medium": "97%", "high_to_medium": "98%", "medium_to_high": "99%"}
LIMIT, TINY_LIMIT, HUGE_LIMIT = ("1GiB" if harness.SANITIZED else "64MiB"), "1MiB", "1024GiB"
CLIENT = "127.0.0.1"  # where connections to loopback come from


def governed(**pressure):
    """Quick samples, no dwell; clients on loopback are strangers."""
    return harness.merge({"interval": "100ms", "dwell": "0", "internal_networks": ["192.0.2.0/24"],
                          "memory_limit": LIMIT}, pressure)


@pytest.fixture
def make_governed(make_server, remote):
    def make(**pressure):
        return make_server(delivery={"smart_host": remote.address}, pressure=governed(**pressure)).start()

    return make


@pytest.fixture
def refusing(make_governed):
    """A server whose memory is at medium, and that refuses external mail for it at once."""
    server = make_governed(memory={**MEDIUM, "history": 0})
    wait_level(server, "medium")
    return server


def view(server):
    return get(server, "/v1/pressure")


def resource(server, name):
    return next(each for each in view(server)["resources"] if each["name"] == name)


def wait_level(server, level):
    wait_until(lambda: view(server)["level"] == level, f"level {level}")


def mail_reply(server):
    """The reply to MAIL of a client of its own."""
    with smtplib.SMTP(harness.HOST, server.port, timeout=harness.PATIENCE) as client:
        client.ehlo("client.test")
        return client.docmd("MAIL", "FROM:<a@sender.test>")


def refused_in_minute(server):
    return get(server, "/v1/queue")["pressure"]["refused"]["minute"]


def screen(server, *arguments, **options):
    return server.tool("pressure", *arguments, check=0, **options).stdout


# ---- refusing ----


def test_medium_refuses_strangers_with_the_resource(refusing):
    assert mail_reply(refusing) == (452, b"4.3.1 Insufficient system resources (memory)")
    wait_until(lambda: refused_in_minute(refusing) >= 1, "the refusal to be counted")
    text = screen(refusing)
    assert "Level medium" in text and "refused (memory)" in text
    assert any(line.startswith(CLIENT + " ") for line in text.splitlines())
    sums = view(refusing)["sums"]["day"]
    assert sums["clients"][0]["client"] == CLIENT and sums["clients"][0]["refused"] >= 1


def test_medium_takes_internal_mail(make_governed, remote):
    server = make_governed(memory={**MEDIUM, "history": 0}, internal_networks=["127.0.0.0/8"])
    wait_level(server, "medium")
    with Raw(server) as client:
        assert client.transaction(message()) == 250
    wait_until(lambda: len(remote.mails) == 1, "the delivery")


def test_high_refuses_internal_mail_and_still_delivers(make_server, make_remote):
    """What was taken before is delivered while everything new is refused (R23)."""
    remote = make_remote()
    calm = governed(memory=CALM, memory_limit=HUGE_LIMIT, internal_networks=["127.0.0.0/8"])
    server = make_server(delivery={"smart_host": remote.address}, pressure=calm).start()
    with Raw(server) as client:
        assert client.transaction(message()) == 250
        assert client.code(b"MAIL FROM:<late@sender.test>\r\n") == 250
        server.write_config(pressure={"memory_limit": TINY_LIMIT})
        server.tool("config", "reload", check=0)
        wait_level(server, "high")
        # The one who was let in may end; the next MAIL is refused.
        assert client.code(b"RCPT TO:<b@rcpt.test>\r\n") == 250
        assert client.code(b"DATA\r\n") == 354
        assert client.code(message() + b"\r\n.\r\n") == 250
        assert client.enhanced(b"MAIL FROM:<a@sender.test>\r\n") == ("452", "4.3.1")
    wait_until(lambda: len(remote.mails) == 2, "the deliveries")


def test_history_slows_before_it_refuses(make_governed):
    server = make_governed(memory={**MEDIUM, "history": 100000},
                           tarpit={"start": "200ms", "step": "0", "max": "200ms"})
    wait_level(server, "medium")
    with Raw(server) as client:
        started = time.monotonic()
        assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 250
        assert time.monotonic() - started >= 0.19
    wait_until(lambda: get(server, "/v1/queue")["pressure"]["delayed"]["minute"] == 1, "the delay to be counted")
    assert "slowed by 0.2s (memory)" in screen(server)


def test_observed_only_does_nothing_and_says_so(make_governed):
    server = make_governed(memory={**MEDIUM, "history": 0, "observe_only": True})
    wait_until(lambda: resource(server, "memory")["level"] == "medium", "memory at medium")
    assert mail_reply(server)[0] == 250
    assert view(server)["level"] == "normal"
    line = next(each for each in screen(server).splitlines() if each.startswith("memory "))
    assert "observe only" in line


def test_not_enabled_refuses_nothing(make_governed):
    server = make_governed(enabled=False, memory_limit=TINY_LIMIT)
    wait_until(lambda: resource(server, "memory")["level"] == "high", "memory at high")
    assert mail_reply(server)[0] == 250
    assert "nothing is refused" in screen(server)


def test_a_bare_reply_where_so_configured(make_governed):
    server = make_governed(memory={**MEDIUM, "history": 0}, reply_detail="bare")
    wait_level(server, "medium")
    assert mail_reply(server) == (452, b"4.3.1 Insufficient system resources")


# ---- live changes ----


def test_a_reload_changes_thresholds(refusing):
    assert mail_reply(refusing)[0] == 452
    refusing.write_config(pressure={"memory": CALM, "memory_limit": HUGE_LIMIT})
    assert refusing.tool("config", "reload", check=0).stdout == "reloaded\n"
    wait_level(refusing, "normal")
    assert mail_reply(refusing)[0] == 250
    refusing.write_config(pressure={"memory": MEDIUM, "memory_limit": LIMIT})
    refusing.signal(signal.SIGHUP)
    wait_level(refusing, "medium")
    assert mail_reply(refusing)[0] == 452


def test_a_bad_file_changes_nothing_and_says_why(refusing):
    good = refusing.file.read_text(encoding="utf-8")
    refusing.write_config(pressure={"memory": {"low_to_medium": "80%", "medium_to_high": "75%"}})
    result = refusing.tool("config", "reload")
    assert result.returncode == 1
    socket_only = run_tool("config", "reload", "--socket", refusing.socket)
    assert socket_only.returncode == 1
    for said in (result.stderr, socket_only.stderr):
        assert "low_to_medium" in said and "'80%'" in said and "'75%'" in said and "penstock.yaml:" in said
    refusing.signal(signal.SIGHUP)
    refusing.wait_log("is not below pressure.memory.medium_to_high")
    assert resource(refusing, "memory")["thresholds"]["low_to_medium"] == 1
    assert mail_reply(refusing)[0] == 452
    refusing.file.write_text(good, encoding="utf-8")
    refusing.tool("config", "reload", check=0)


def test_exchange_names_in_the_file(make_governed):
    server = make_governed(**{"PrivateBytes": {"LowToMedium": 1, "MediumToHigh": 99, "HighToMedium": 98, "MediumToLow": 0},
                              "PrivateBytesHistoryDepth": 0})
    wait_level(server, "medium")
    assert mail_reply(server)[0] == 452
    settings = {each["name"]: each for each in view(server)["configuration"]}
    assert settings["pressure.memory.low_to_medium"]["value"] == "1%"
    assert "penstock.yaml:" in settings["pressure.memory.low_to_medium"]["origin"]


# ---- looking ----


def test_health_turns(refusing):
    assert get(refusing, "/health/live")["live"] is True
    status, answer = ask(refusing, "/health/ready")
    assert (status, answer["class"], answer["verdict"], answer["resource"]) == (503, "external", "refuse", "memory")
    assert ask(refusing, "/health/ready?class=internal")[0] == 200
    assert ask(refusing, "/health/ready?class=authenticated")[0] == 200
    assert ask(refusing, "/health/ready?class=nobody")[0] == 400
    refusing.write_config(pressure={"memory": CALM, "memory_limit": HUGE_LIMIT})
    refusing.tool("config", "reload", check=0)
    wait_until(lambda: ask(refusing, "/health/ready?class=external")[0] == 200, "readiness")


def test_the_empty_queue_shows_the_level(refusing):
    assert mail_reply(refusing)[0] == 452
    wait_until(lambda: refused_in_minute(refusing) == 1, "the refusal to be counted")
    text = refusing.tool("queue", "list", check=0).stdout
    assert "Nothing is queued" in text
    assert "Server level medium" in text and "refused: 1 in the last minute, 1 hour, 1 day" in text
    assert refusing.tool("queue", "list", "--json", check=0).stdout == ""


def test_one_screen(refusing):
    text = screen(refusing)
    lines = text.splitlines()
    assert len(lines) <= 62 and "\033" not in text
    assert any(line.startswith("memory ") and " medium " in line for line in lines)
    assert any(line.startswith("memory: free ") and "smtp.connections_max" in line for line in lines)
    assert "not available: " in text or "cpu stall  " in text
    assert "pressure.interval = 100ms" in text or "more; 'penstock config show'" in text
    assert "rose from normal to medium" in text


def test_json_is_the_same(refusing):
    told = json.loads(screen(refusing, "--json"))
    assert told["level"] == "medium" and len(told["resources"]) == 11
    assert told["spool"]["directory"] == str(refusing.spool)
    assert told["spool"]["mount"] and told["spool"]["size_bytes"] > 0
    assert told["process"]["threads"] > 1 and told["process"]["descriptors"] > 5
    for each in told["resources"]:
        assert each["known"] or each["why"], each


def test_exchange_xml(refusing):
    root = ElementTree.fromstring(screen(refusing, "--exchange-xml"))
    assert root.tag == "Diagnostics"
    assert root.findtext("ProcessInfo/id") == str(refusing.process.pid)
    throttling = root.find("Components/ResourceThrottling")
    assert throttling.findtext("ResourceTracker/AggregateUse") == "Medium"
    meters = {each.get("Resource"): each for each in throttling.findall("ResourceTracker/ResourceMeter")}
    memory = meters["PrivateBytes"]
    assert [child.tag for child in memory] == ["CurrentResourceUse", "PreviousResourceUse", "PressureTransitions", "Pressure"]
    assert memory.findtext("CurrentResourceUse") == "Medium"
    assert memory.findtext("PressureTransitions") == \
        "[PressureTransitions: MediumToHigh=99 HighToMedium=98 LowToMedium=1 MediumToLow=0]"
    assert 1 <= int(memory.findtext("Pressure")) < 99
    assert f"DatabaseUsedSpace[{refusing.spool}]" in meters
    observers = {each.get("Name"): each for each in throttling.findall("ResourceLevelMediator/ResourceLevelObserver")}
    assert observers["SmtpIn"].findtext("Paused") == "true"
    assert observers["RemoteDelivery"].findtext("Paused") == "false"
    configuration = throttling.find("Configuration/ResourceThrottlingConfiguration")
    assert configuration.get("SmtpMaxThrottlingDelayInterval") == "PT55S"
    # A stall of a busy machine may be there too, as advice.
    assert "PrivateBytes" in [name for name, each in meters.items() if each.findtext("CurrentResourceUse") != "Low"]


@pytest.mark.parametrize("end", ["q", "SIGINT"])
def test_watch_redraws_and_gives_the_terminal_back(refusing, terminal, end):
    shown = terminal("pressure", "--watch=1", "-c", refusing.file)
    shown.read_until(lambda text: text.count("Level medium") >= 2, "two screens")
    assert "\033[33m" in shown.text
    if end == "q":
        assert termios.tcgetattr(shown.slave)[3] & termios.ECHO == 0
        os.write(shown.master, b"q")
    else:
        shown.process.send_signal(signal.SIGINT)
    assert shown.process.wait(harness.PATIENCE) == 0
    assert termios.tcgetattr(shown.slave) == shown.before


@pytest.mark.skipif(not os.path.exists("/proc/self/syscall"), reason="this kernel does not tell in which call a process is")
def test_a_signal_amid_a_screen_is_no_failure(refusing, terminal):
    shown = terminal("pressure", "--watch=1", "-c", refusing.file, full=True)
    wait_until(shown.is_blocked, "a write to the full terminal")
    shown.process.send_signal(signal.SIGINT)
    shown.read_until(lambda text: "Level medium" in text, "the screen")
    assert shown.process.wait(harness.PATIENCE) == 0


def test_no_colours_where_not_wanted(refusing, terminal):
    shown = terminal("pressure", "-c", refusing.file, env={"NO_COLOR": "1"})
    shown.read_until(lambda text: "Level medium" in text, "the screen")
    assert shown.process.wait(harness.PATIENCE) == 0
    assert "\033[" not in shown.text


def test_without_a_server_it_says_where_it_looked(tmp_path):
    result = run_tool("pressure", "--socket", tmp_path / "none.sock", check=1)
    assert str(tmp_path / "none.sock") in result.stderr and "penstock serve" in result.stderr
    assert run_tool("pressure", "--watch", "--socket", tmp_path / "none.sock").returncode == 1


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--watch=0"], ["--watch=x"], ["extra"], ["--json", "--exchange-xml"]])
def test_wrong_usage(arguments):
    assert run_tool("pressure", *arguments).returncode == 2


def test_the_tables_of_the_manual_are_the_programs():
    manual = (ROOT / "docs" / "pressure.md").read_text(encoding="utf-8")
    tables = run_tool("config", "doc", "--pressure", check=0).stdout
    assert f"<!-- tables: begin -->\n{tables}<!-- tables: end -->\n" in manual
