"""`penstock logs blame` and `top` against the generator's truth."""
import collections

import pytest

from logs_truth import GENERATOR, VARIANTS, generate
from test_logs import NO_LIMIT, report

pytestmark = pytest.mark.skipif(not GENERATOR.exists(), reason=f"there is no generator of logs: {GENERATOR}")


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: "-".join((v[0], str(v[1]))))
def logs(request, tmp_path_factory):
    form, seed, options = request.param
    return generate(tmp_path_factory.mktemp(f"{form}-{seed}"), form, seed, options)


def test_who_issued_it(logs):
    sums = collections.Counter()
    blame = report("blame", logs.files, *NO_LIMIT)
    unanswered = sum(row["refusals"] for row in blame["by_issuer"] if row["issuer"] == "nobody answered")
    assert f"nobody answered: {unanswered}." in " ".join(blame["notes"])
    for row in blame["by_issuer"]:
        sums[row["side"], "4"] += row["temporary"]
        sums[row["side"], "5"] += row["permanent"]
    truth = logs.truth["replies"]
    # Lines about another host of the same attempt are refusals of that host.
    assert sums["receiver", "4"] + sums["receiver", "5"] == (
        truth["receiver_4xx"] + truth["receiver_5xx"] + truth["other_mx_lines"])
    assert sums["receiver", "4"] >= truth["receiver_4xx"] and sums["receiver", "5"] >= truth["receiver_5xx"]
    assert sums["own-server", "4"] == truth["own_4xx"]
    assert sums["own-server", "5"] == truth["own_5xx"]


def test_verdicts_name_what_is_missing(logs):
    verdicts = report("blame", logs.files, *NO_LIMIT)["verdicts"]
    for row in verdicts:
        assert row["verdict"] in ("receiver-side", "our-side", "undecided")
        assert bool(row["missing"]) == (row["verdict"] == "undecided")
        assert row["reasons"]
        # The generator's receivers have spikes one by one: nothing goes across destinations.
        assert row["verdict"] != "our-side" or row["provider"] == "our own server"
    if logs.truth["replies"]["own_452_4_3_1"]:
        assert verdicts[0]["provider"] == "our own server"


@pytest.fixture(scope="module")
def much(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("much"), "postfix", 5, (), rows="200k")


def test_receivers_side(much):
    """The big provider's spike, with enough mail to others in the same hours."""
    spikes = {row["provider"]: row for row in report("blame", much.files, *NO_LIMIT)["verdicts"]}
    big = max(much.truth["per_provider"], key=lambda name: much.truth["per_provider"][name]["s452_4_3_1"])
    assert spikes[big]["verdict"] == "receiver-side"
    assert spikes[big]["others"] >= 2
    assert f"{spikes[big]['bad_refusals']} of {spikes[big]['bad_attempts']} attempts refused" in spikes[big]["reasons"]


def test_own_relay(much):
    """The same replies, once the hosts that gave them are said to be ours."""
    big = max(much.truth["per_provider"], key=lambda name: much.truth["per_provider"][name]["s452_4_3_1"])
    for own in (f"*.{big}", "198.18.0.0/24"):
        rows = report("blame", much.files, "--own", own)
        verdict, = (row for row in rows["verdicts"] if row["provider"] == big)
        assert verdict["verdict"] == "our-side"
        assert verdict["by_ours"] + verdict["without_reply"] == verdict["bad_refusals"]
        assert "own-relay" in {row["side"] for row in rows["by_issuer"]}


def test_top(logs):
    top = report("top", logs.files, *NO_LIMIT)
    got = {row["domain"]: row["attempts"] for row in top["domains"]}
    assert got == {domain: counts["attempts"] for domain, counts in logs.truth["per_domain"].items() if domain != "none"}
    addressed = {key: counts["attempts"] for key, counts in logs.truth["per_remote"].items() if key != "none"}
    hosts = collections.Counter()
    for row in top["hosts"]:
        hosts[row["host"].split("[")[-1].rstrip("]")] += row["attempts"]
    assert dict(hosts) == addressed
    assert sum(row["hits"] for row in top["texts"] if row["text"][:3] in logs.truth["by_code"]) == sum(
        logs.truth["by_code"].values())
