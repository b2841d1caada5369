"""What replies mean, and whose hosts they come from: the commands, with the shipped tables and own ones."""
import json

import pytest

from harness import run_tool


def explain(reply, *arguments):
    return json.loads(run_tool("replies", "explain", reply, "--json", *arguments, check=0).stdout)


def test_the_reply_of_the_issue_is_explained():
    text = run_tool("replies", "explain", "452 4.3.1 Insufficient system resources", check=0).stdout
    assert text.startswith("452 4.3.1 Insufficient system resources\nclass       capacity: ")
    for label in ("meaning", "Penstock", "do", "do not"):
        assert f"\n{label:<12}" in text
    assert max(map(len, text.splitlines())) <= 78


@pytest.mark.parametrize("reply, arguments, wanted", [
    ("452 4.3.1 Insufficient system resources", [], "capacity"),
    ("421 4.3.2 Service not available", [], "capacity"),
    ("451 4.3.0 Temporary failure", [], "capacity"),
    ("452 4.4.5 Insufficient disk space", [], "capacity"),
    ("451 4.7.500 Server busy", [], "rate"),
    ("421 4.7.0 Try again later", [], "rate"),
    ("452 4.2.2 Mailbox full", [], "mailbox-full"),
    ("452 4.5.3 Too many recipients", [], "batch"),
    ("550", ["--phase", "rcpt"], "mailbox-unknown"),
    ("550", ["--phase", "end of data"], "policy"),
    ("451 4.7.1 Service unavailable - try again later", [], "greylist"),
    ("451 4.7.1 Service unavailable - try again later", ["--provider", "apple"], "rate"),
])
def test_classes(reply, arguments, wanted):
    assert explain(reply, *arguments)["class"] == wanted


def test_what_is_no_reply():
    assert "is no reply" in run_tool("replies", "explain", "hello", check=2).stderr
    assert "phase" in run_tool("replies", "explain", "452", "--phase", "none", check=2).stderr
    run_tool("replies", "explain", check=2)
    run_tool("replies", check=2)


def test_own_rules(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n"
                     "  - name: partner-full\n"
                     "    class: capacity\n"
                     "    code: 450\n"
                     "    text: partner*full\n"
                     "    matches: ['450 The partner is full', '450 nobody said this']\n"
                     "    never: ['450 partner full of joy']\n", encoding="utf-8")
    assert explain("450 the Partner is FULL", "--rules", rules)["rule"] == "partner-full"
    result = run_tool("replies", "check", rules, check=1)
    assert result.stdout.strip() == f"{rules}: 3 replies tried, 2 wrong"
    assert f"{rules}:6:43: 450 nobody said this: wanted capacity by rule 'partner-full', got other" in result.stderr
    assert f"{rules}:7:14: 450 partner full of joy: wanted not capacity" in result.stderr

    config = tmp_path / "penstock.yaml"
    config.write_text(f"replies:\n  file: {rules}\n", encoding="utf-8")
    assert explain("450 the partner is full", "-c", config)["class"] == "capacity"

    rules.write_text("rules:\n  - name: a\n    class: capacity\n    code: 45x\n", encoding="utf-8")
    result = run_tool("replies", "check", rules, check=1)
    assert result.stderr.startswith(f"{rules}:4:11: code '45x'")
    assert str(tmp_path / "none") in run_tool("replies", "check", tmp_path / "none", check=1).stderr


def test_lists():
    answer = json.loads(run_tool("replies", "list", "--json", check=0).stdout)
    assert {"capacity", "rate", "policy", "batch"} <= {c["class"] for c in answer["classes"]}
    names = [rule["rule"] for rule in answer["rules"]]
    assert len(names) == len(set(names)) > 40
    only = run_tool("replies", "list", "--class", "batch", check=0).stdout
    assert "batch-4.5.3" in only and "capacity-4.3.2" not in only
    run_tool("replies", "list", "--class", "nonsense", check=2)


def test_providers(tmp_path):
    def of(*arguments):
        return json.loads(run_tool("providers", "of", *arguments, "--json", check=0).stdout)

    assert of("contoso-com.mail.protection.outlook.com") == {
        "name": "microsoft-365", "group": "microsoft-domains", "title": "Microsoft 365 (Exchange Online)",
        "pattern": "*.mail.protection.outlook.com"}
    assert of("mx1.customer.example-hoster.co.uk", "mx2.customer.example-hoster.co.uk")["name"] == "example-hoster.co.uk"
    own = tmp_path / "own.yaml"
    own.write_text("providers:\n  - {name: ours, mx: '*.example-hoster.co.uk'}\n", encoding="utf-8")
    assert of("mx.example-hoster.co.uk", "--file", own)["name"] == "ours"
    table = json.loads(run_tool("providers", "list", "--json", check=0).stdout)["providers"]
    assert {p["name"] for p in table if p["group"] == "microsoft-domains"} == {
        "microsoft-365", "microsoft-consumer", "microsoft-dane"}
    assert "0 wrong" in run_tool("providers", "check", check=0).stdout
    own.write_text("providers:\n  - {name: ours, mx: '*'}\n", encoding="utf-8")
    assert run_tool("providers", "list", "--file", own, check=1).stderr.startswith(f"{own}:2:23: mx '*'")
    run_tool("providers", "of", check=2)
