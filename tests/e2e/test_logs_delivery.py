"""`penstock logs delivery` against the generator's truth: what became of recipients, times, days."""
import pytest

from logs_truth import GENERATOR, VARIANTS, generate
from test_logs import NO_LIMIT, counts_of, report, true_counts

pytestmark = pytest.mark.skipif(not GENERATOR.exists(), reason=f"there is no generator of logs: {GENERATOR}")

PERCENTILES = ("min", "p50", "p75", "p90", "p95", "p99", "p999", "max", "sum")


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: "-".join((v[0], str(v[1]))))
def logs(request, tmp_path_factory):
    form, seed, options = request.param
    return generate(tmp_path_factory.mktemp(f"{form}-{seed}"), form, seed, options)


@pytest.fixture(scope="module")
def delivery(logs):
    return report("delivery", logs.files, *NO_LIMIT)


def test_total(logs, delivery):
    truth = logs.truth["total"]["all"]
    assert [counts_of(logs, row) for row in delivery["total"]] == [true_counts(truth)]
    assert delivery["total"][0]["deferral_rate"] == pytest.approx(truth["deferred"] / truth["attempts"])


@pytest.mark.parametrize("table, name, truth", [
    ("per_day", "day", "per_day"), ("by_domain", "domain", "per_domain"), ("by_provider", "provider", "per_provider")])
def test_by(logs, delivery, table, name, truth):
    if not logs.truth[truth]:
        pytest.skip(f"{logs.format} has no {name}")
    got = {row[name]: counts_of(logs, row) for row in delivery[table] if row["attempts"]}
    assert got == {key: true_counts(counts) for key, counts in logs.truth[truth].items()}


def test_messages(logs, delivery):
    truth = dict(logs.truth.get("messages") or {})
    if not truth:
        pytest.skip(f"{logs.format} names no messages")
    if logs.format == "exim":  # names no recipients on arrival: those that were never tried are not known
        del truth["recipients"], truth["pending"]
    got = {row["name"]: row["count"] for row in delivery["messages"]}
    assert {name: got[name] for name in truth} == truth
    assert got["recipients"] == sum(got[end] for end in ("delivered", "failed", "expired", "pending", "lost"))
    row, = delivery["total"]
    assert row["first_rate"] == pytest.approx(truth["first_attempt_delivered"] / truth["first_attempts"])
    ends = truth["delivered"] + truth["failed"] + truth["expired"]
    assert row["final_rate"] == pytest.approx(truth["delivered"] / ends)


def test_time_to_delivery(logs, delivery):
    truth = logs.truth.get("time_to_delivery")
    if not truth:
        pytest.skip(f"{logs.format} does not tell when messages arrived")
    unit = {"s": 1000, "ms": 1}[truth["unit"]]
    row, = delivery["time_to_delivery"]
    assert row["n"] == truth["n"]
    if unit == 1000 and row["sum"] % 1000:  # stamps with parts of a second, of which the truth knows nothing
        for name in PERCENTILES:
            assert abs(row[name] - truth[name] * unit) < 1000 * (row["n"] if name == "sum" else 1)
    else:
        assert {name: row[name] for name in PERCENTILES} == {name: truth[name] * unit for name in PERCENTILES}


def test_domains_add_up(logs, delivery):
    for table in ("by_domain", "by_provider"):
        if table == "by_domain" and logs.format == "exchange-recv":
            continue  # counts recipients there, transactions elsewhere
        assert sum(row["attempts"] for row in delivery[table]) == delivery["total"][0]["attempts"]
