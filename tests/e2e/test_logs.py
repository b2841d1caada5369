"""`penstock logs` against the generator's truth: every number of every format, exactly."""
import csv
import datetime
import json
import math
import subprocess

import pytest

import harness
from logs_truth import GENERATOR, VARIANTS, generate, milliseconds, second_reader

PENSTOCK = str(harness.BINARY)
NO_LIMIT = ("-n", "0")

pytestmark = pytest.mark.skipif(not GENERATOR.exists(), reason=f"there is no generator of logs: {GENERATOR}")


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: "-".join((v[0], str(v[1]))))
def logs(request, tmp_path_factory):
    form, seed, options = request.param
    return generate(tmp_path_factory.mktemp(f"{form}-{seed}"), form, seed, options)


def report(name, files, *options, zone="UTC", check=0):
    command = [PENSTOCK, "logs", name, "--json", "--tz", zone, *options, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == check, done.stderr + done.stdout
    return json.loads(done.stdout)


def status_of(row):
    return "%d %s" % (row["code"], row["enhanced"] or "-")


def seen_of(logs, row):
    """Hits, first and last, as exact as the truth is: to seconds where the log's usual stamps have no more."""
    unit = 1 if "." in logs.truth["totals"]["first"] else 1000
    return row["hits"], row["first_ms"] // unit * unit, row["last_ms"] // unit * unit


def test_rows(logs):
    notes = " ".join(report("status", logs.files)["notes"])
    totals = logs.truth["totals"]
    for words in (counted(totals["records"], "row") + " read", counted(totals["header_lines"], "header line") + ";",
                  counted(len(logs.files), "file") + ","):
        assert f" {words}" in f" {notes}"


def counted(number, what):
    return f"{number} {what}" + ("" if number == 1 else "s")


def test_status_by_code(logs):
    got = {status_of(row): seen_of(logs, row)
           for row in report("status", logs.files, *NO_LIMIT)["by_status"]}
    assert got == {status: (seen["count"], milliseconds(seen["first"]), milliseconds(seen["last"]))
                   for status, seen in logs.truth["by_status"].items()}


def test_status_by_text(logs):
    got = {}
    for row in report("status", logs.files, *NO_LIMIT)["by_text"]:
        text = " ".join(part for part in (str(row["code"]), row["enhanced"]) if part) + " " + row["text"]
        got[text] = seen_of(logs, row)
    assert got == {text: (seen["count"], milliseconds(seen["first"]), milliseconds(seen["last"]))
                   for text, seen in logs.truth["by_text"].items()}


def test_status_by_side(logs):
    sides = {row["side"]: row for row in report("status", logs.files)["by_side"]}
    truth = logs.truth["replies"]

    def count(side, column):
        return sides.get(side, {}).get(column, 0)

    assert count("receiver", "temporary") == truth["receiver_4xx"]
    assert count("receiver", "permanent") == truth["receiver_5xx"]
    assert count("own-server", "temporary") == truth["own_4xx"]
    assert count("own-server", "permanent") == truth["own_5xx"]
    assert count("other-host", "temporary") + count("other-host", "permanent") == truth["other_mx_lines"]


def test_status_without_reply(logs):
    if logs.format == "haraka":  # which tells them of a message, the truth of a recipient
        pytest.skip("Haraka logs a failed connection once for all recipients")
    got = {row["text"]: seen_of(logs, row) for row in report("status", logs.files, *NO_LIMIT).get("without_reply", [])}
    assert got == {text: (seen["count"], milliseconds(seen["first"]), milliseconds(seen["last"]))
                   for text, seen in logs.truth["own_failures_without_reply"].items()}


def test_status_of_one_class(logs):
    got = {status_of(row): row["hits"] for row in report("status", logs.files, "--class", "4", *NO_LIMIT)["by_status"]}
    assert got == {status: seen["count"] for status, seen in logs.truth["by_status"].items() if status[0] == "4"}


def test_daily(logs):
    got = {(row["when"], row["code"], row["enhanced"]): row["hits"]
           for row in report("daily", logs.files)["by_time_and_status"]}
    assert got == dict(second_reader(logs)[0])


def test_hourly_adds_up_to_daily(logs):
    hours = report("hourly", logs.files)["by_time_and_status"]
    days = {}
    for row in hours:
        key = row["when"][:10], row["code"], row["enhanced"]
        days[key] = days.get(key, 0) + row["hits"]
    assert days == dict(second_reader(logs)[0])
    assert len({row["when"] for row in hours}) > len({day for day, _, _ in days})


COUNTS = ("attempts", "delivered", "deferred", "failed", "s452_4_3_1")


def counts_of(logs, row):
    unit = 1 if "." in logs.truth["totals"]["first"] else 1000
    return {**{name: row[name] for name in COUNTS},
            "first": row["first_ms"] // unit * unit, "last": row["last_ms"] // unit * unit}


def true_counts(truth):
    return {**{name: truth[name] for name in COUNTS},
            "first": milliseconds(truth["first"]), "last": milliseconds(truth["last"])}


@pytest.fixture(scope="module")
def capacity(logs):
    return report("capacity", logs.files, *NO_LIMIT)


def test_capacity_total(logs, capacity):
    assert [counts_of(logs, row) for row in capacity["total"]] == [true_counts(logs.truth["total"]["all"])]


@pytest.mark.parametrize("table, name, truth", [
    ("by_provider", "provider", "per_provider"), ("by_domain", "domain", "per_domain"), ("by_remote", "remote", "per_remote")])
def test_capacity_by(logs, capacity, table, name, truth):
    if not logs.truth[truth]:
        pytest.skip(f"{logs.format} has no {name}")
    got = {row[name]: counts_of(logs, row) for row in capacity[table]}
    assert got == {key: true_counts(counts) for key, counts in logs.truth[truth].items()}


def test_capacity_retries(logs, capacity):
    messages = logs.truth.get("messages")
    if not messages:
        pytest.skip(f"{logs.format} names no messages")
    row, = capacity["total"]
    assert row["retries"] == messages["retry_attempts"]
    if row["retries"]:
        assert round(row["retry_success"] * row["retries"]) == messages["retry_delivered"]


@pytest.fixture(scope="module")
def delivery(logs):
    if not logs.truth.get("messages"):
        pytest.skip(f"{logs.format} names no messages")
    return report("delivery", logs.files, *NO_LIMIT)


def test_delivery_messages(logs, delivery):
    got = {row["name"]: row["count"] for row in delivery["messages"]}
    truth = dict(logs.truth["messages"])
    if logs.format == "exim":  # which names no recipients on arrival
        del truth["recipients"], truth["pending"]
    assert {name: got[name] for name in truth} == truth


def test_delivery_rates(logs, delivery):
    row, = delivery["total"]
    messages, total = logs.truth["messages"], logs.truth["total"]["all"]
    assert row["first_rate"] == pytest.approx(messages["first_attempt_delivered"] / messages["first_attempts"], rel=1e-5)
    assert row["deferral_rate"] == pytest.approx(total["deferred"] / total["attempts"], rel=1e-5)


def test_delivery_by_day(logs, delivery):
    got = {row["day"]: counts_of(logs, row) for row in delivery["per_day"]}
    assert got == {day: true_counts(counts) for day, counts in logs.truth["per_day"].items()}


@pytest.mark.parametrize("table, name, truth", [
    ("by_provider", "provider", "per_provider"), ("by_domain", "domain", "per_domain")])
def test_delivery_by(logs, delivery, table, name, truth):
    got = {row[name]: counts_of(logs, row) for row in delivery[table]}
    assert got == {key: true_counts(counts) for key, counts in logs.truth[truth].items()}


def test_delivery_time(logs, delivery):
    truth = dict(logs.truth["time_to_delivery"])
    row, = delivery["time_to_delivery"]
    assert row["n"] == truth["n"]
    unit = 1000 if truth.pop("unit") == "s" else 1
    if unit == 1000 and logs.has_milliseconds:
        return  # the truth is cut to seconds before it subtracts
    assert {name: row[name] for name in truth} == {
        name: value * (1 if name == "n" else unit) for name, value in truth.items()}


def test_delivery_time_by_destination(logs, delivery):
    named = sum(row["n"] for row in delivery["time_by_domain"])
    assert named <= logs.truth["time_to_delivery"]["n"]
    if logs.format != "pmta":
        return
    times = {}
    for file in logs.files:
        with open(file, encoding="utf-8-sig", errors="replace", newline="") as rows:
            for row in csv.DictReader(line for line in rows if "\0" not in line):
                if row["type"] == "d":
                    logged, queued = (datetime.datetime.strptime(row[name], "%Y-%m-%d %H:%M:%S%z")
                                      for name in ("timeLogged", "timeQueued"))
                    domain = row["rcpt"].rpartition("@")[2].lower()
                    times.setdefault(domain, []).append(round((logged - queued).total_seconds() * 1000))
    rows = {row["domain"]: row for row in delivery["time_by_domain"]}
    assert {domain: row["n"] for domain, row in rows.items()} == {domain: len(of) for domain, of in times.items()}
    for domain, of in times.items():
        of.sort()
        error = 1 / 32 if len(of) > 896 else 0
        assert rows[domain]["max"] == of[-1]
        for name, share in (("p50", .5), ("p90", .9), ("p99", .99)):
            assert rows[domain][name] == pytest.approx(of[math.ceil(share * len(of)) - 1], rel=error, abs=0), (domain, name)


def test_queue_age_by_destination(delivery):
    pending, = (row["count"] for row in delivery["messages"] if row["name"] == "pending")
    oldest = delivery["queue_age"][0]["max"]
    for table in ("queue_age_by_domain", "queue_age_by_provider"):
        assert sum(row["n"] for row in delivery[table]) == pending
        assert max((row["max"] for row in delivery[table]), default=None) == oldest


def test_a_journal_says_what_the_log_says(tmp_path):
    plain = generate(tmp_path / "postfix", "postfix", 4, ("--rotate", "none", "--iso", "--no-truncate"))
    export = tmp_path / "export"
    with open(plain.files[0], encoding="utf-8") as lines, open(export, "w", encoding="utf-8") as to:
        for number, line in enumerate(lines):
            stamp, host, tag, message = line.rstrip("\n").split(" ", 3)
            program, process = tag.rstrip("]:").split("[")
            at = datetime.datetime.fromisoformat(stamp)
            to.write(f"__CURSOR=s={number}\n__REALTIME_TIMESTAMP={round(at.timestamp() * 1e6)}\n_HOSTNAME={host}\n"
                     f"SYSLOG_IDENTIFIER={program}\nSYSLOG_PID={process}\nMESSAGE={message}\n\n")
    assert export.stat().st_size > 3 << 20, "several chunks"
    for name in ("status", "daily", "capacity", "delivery"):
        from_log, from_journal = (report(name, [file], *NO_LIMIT) for file in (plain.files[0], export))
        from_log.pop("notes"), from_journal.pop("notes")
        assert from_journal == from_log, name
