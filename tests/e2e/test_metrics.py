"""The metrics page, read with the parser of Prometheus' own client library."""
import math
import re
import smtplib

import pytest
from prometheus_client.parser import text_string_to_metric_families

import harness
from harness import Raw, message, run_tool, wait_until
from test_control import Connection
from test_pressure import MEDIUM, governed, mail_reply, view, wait_level

LEVELS = ["normal", "medium", "high"]
SERIES_MAX = 700  # whatever happens to the server


def parse(text):
    """{(name, sorted labels): value}; every series is there once, and every family has help and type."""
    series = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, f"no help: {family.name}"
        assert family.type in ("counter", "gauge"), f"{family.name} is {family.type}"
        for sample in family.samples:
            assert re.fullmatch(r"penstock_[a-z0-9_]+", sample.name)
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in series, f"twice: {key}"
            series[key] = sample.value
    assert 100 < len(series) <= SERIES_MAX
    return series


def fetch(server):
    """GET /metrics; its type tells collectors how to read it."""
    connection = Connection(server.socket)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        return response.read().decode()
    finally:
        connection.close()


def metrics(server):
    return parse(server.tool("metrics", check=0).stdout)


def value(series, name, **labels):
    return series["penstock_" + name, tuple(sorted(labels.items()))]


FOLDER = 'sp\\"} 9 ool \N{SNOWMAN}'  # would break out of its label


@pytest.fixture
def refusing(make_server, remote, tmp_path):
    """Memory is at medium, and refuses."""
    server = make_server(delivery={"smart_host": remote.address}, spool={"directory": str(tmp_path / FOLDER)},
                         pressure=governed(interval="500ms", memory={**MEDIUM, "history": 0})).start()
    wait_level(server, "medium")
    return server


def test_values_are_those_of_the_view(refusing):
    """Asked between two views that agree, the page says the same."""
    assert mail_reply(refusing)[0] == 452
    wait_until(lambda: view(refusing)["totals"]["refused_for"]["memory"] == 1, "the refusal to be counted")

    def steady():
        before, page, after = view(refusing), fetch(refusing), view(refusing)
        is_one = all(before[name] == after[name] for name in ("taken_ms", "remedies"))
        return (before, page) if is_one else None

    shown, text = wait_until(steady, "a page and a view of one sample")
    page = parse(text)
    assert value(page, "level") == LEVELS.index(shown["level"]) == 1
    assert value(page, "sample_time_seconds") == pytest.approx(shown["taken_ms"] / 1000)
    assert value(page, "start_time_seconds") == pytest.approx(shown["started_ms"] / 1000)
    assert value(page, "samples_total") == shown["samples"]
    assert value(page, "sessions") == shown["sessions"]
    assert value(page, "log_lines_lost_total") == shown["log"]["lines_lost"]
    assert value(page, "spool_messages") == shown["spool"]["messages"]
    for span, times in shown["at_level_ms"].items():
        for level, ms in times.items():
            name = "level_seconds_total" if span == "total" else "level_span_seconds"
            labels = {"level": level} if span == "total" else {"level": level, "span": span}
            assert value(page, name, **labels) == pytest.approx(ms / 1000)
    for each in shown["resources"]:
        check_resource(page, each)
    for each in shown["totals"]["classes"]:
        name = each["class"]
        assert value(page, "mails_accepted_total", **{"class": name}) == each["accepted"]
        assert value(page, "mails_delayed_total", **{"class": name}) == each["delayed"]
        for reason in ("size", "late", "connect", "client"):
            assert value(page, "refusals_total", **{"class": name, "reason": reason}) == each["refused_" + reason]
    assert value(page, "refusals_total", **{"class": "external", "reason": "pressure"}) == 1
    for resource, count in shown["totals"]["refused_for"].items():
        assert value(page, "refusals_for_total", resource=resource) == count
    for each in shown["remedies"]:
        assert value(page, "remedy_runs_total", remedy=each["name"]) == each["runs"]
    verdicts = ["open", "delay", "refuse"]
    for each in shown["admission"]["classes"]:
        assert verdicts[int(value(page, "admission", **{"class": each["class"]}))] == each["verdict"]


def check_resource(page, each):
    name = each["name"]
    assert value(page, "resource_level", resource=name) == LEVELS.index(each["level"])
    assert value(page, "resource_known", resource=name) == each["known"]
    for step, threshold in each["thresholds"].items():
        assert value(page, "resource_threshold_configured", resource=name, step=step) == threshold
    for level, ms in each["at_level_ms"]["hour"].items():
        assert value(page, "resource_level_span_seconds", resource=name, level=level,
                     span="hour") == pytest.approx(ms / 1000)
    info = [dict(labels) for metric, labels in page if metric == "penstock_resource_info"]
    info = next(labels for labels in info if labels["resource"] == name)
    assert info["unit"] == each["unit"] and info["rule"] == ("percent" if each["is_percent"] else "absolute")
    assert info["counts"] == ("observed" if each["observe_only"] else "advisory" if each["advisory"] else "yes")
    if not each["known"]:
        assert ("penstock_resource_used", (("resource", name),)) not in page
        return
    assert info["origin"] == each["origin"]  # a path with quotes, and a backslash among them
    assert value(page, "resource_used", resource=name) == each["used"]
    for step, threshold in each["effective"].items():
        assert value(page, "resource_threshold", resource=name, step=step) == threshold
    for until in ("medium", "high"):
        seconds = each[until + "_in_s"]
        assert value(page, "resource_forecast_seconds", resource=name, until=until) == (
            math.inf if seconds is None else seconds)
    if each["limit"]:
        assert value(page, "resource_limit", resource=name) == each["limit"]


def test_labels_cannot_break_out(refusing):
    origins = [dict(labels)["origin"] for name, labels in metrics(refusing) if name == "penstock_resource_info"]
    assert any(FOLDER in origin for origin in origins), origins


def test_counters_only_grow(make_server, remote):
    """Mail accepted, delivered, refused: no counter is ever less, and the right ones are more."""
    server = make_server(delivery={"smart_host": remote.address}, pressure=governed(),
                         smtp={"messages_per_client_minute_max": 3}).start()
    pages = [metrics(server)]
    for number in range(3):
        with Raw(server) as client:
            assert client.transaction(message()) == 250
        wait_until(lambda: len(remote.mails) == number + 1, "the delivery")
        pages.append(metrics(server))
    with smtplib.SMTP(harness.HOST, server.port, timeout=harness.PATIENCE) as client:
        client.ehlo("client.test")
        assert client.docmd("MAIL", "FROM:<a@sender.test>")[0] == 450
    key = {"class": "external", "reason": "client"}
    wait_until(lambda: pages.append(metrics(server)) or value(pages[-1], "refusals_total", **key) == 1,
               "the refusal")
    for before, after in zip(pages, pages[1:]):
        counters = [key for key in before if key[0].endswith("_total")]
        assert counters == [key for key in after if key[0].endswith("_total")]  # no mail makes a series
        for name, labels in counters:
            assert after[name, labels] >= before[name, labels], f"{name} {labels} went down"
    assert [value(pages[n], "messages_accepted_total") for n in (0, 1, 3)] == [0, 1, 3]
    assert value(pages[-1], "messages_delivered_total") == 3
    assert value(pages[-1], "mails_accepted_total", **{"class": "external"}) == 3
    assert value(pages[-1], "queue_entries", state="deferred") == 0


@pytest.mark.parametrize("arguments", [["extra"], ["--json"], ["--socket"]])
def test_wrong_usage(arguments):
    assert "penstock metrics:" in run_tool("metrics", *arguments, check=2).stderr


def test_help():
    assert "GET /metrics" in run_tool("metrics", "--help", check=0).stdout
