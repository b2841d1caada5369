"""Lanes and policies: what holds for an address, told by the program that will act on it."""
import json

import pytest

from harness import run_tool
from nameserver import servfail

# As it stands in the operators' playbook: this text alone is a configuration.
PLAYBOOK = """
       destinations:
         - destination: microsoft-domains
           initial_retry: 10m
           next_retry: 20m, 40m, 80m
           jitter: enabled
           max_queue_time: 48h
           connection_change: -20%
"""


@pytest.fixture
def resolve(tmp_path):
    def run(address, config="", *arguments, check=0):
        file = tmp_path / "penstock.yaml"
        file.write_text(config, encoding="utf-8")
        result = run_tool("lanes", "resolve", address, "-c", file, "--json", *arguments, check=check)
        return json.loads(result.stdout) if check == 0 else result.stderr

    return run


def settings(view, key="settings"):
    return {each["key"]: (each["value"], each["block"]) for each in view[key]}


def test_the_playbook_is_a_configuration(tmp_path):
    file = tmp_path / "playbook.yaml"
    file.write_text(PLAYBOOK, encoding="utf-8")
    assert "good" in run_tool("config", "check", "-c", file, check=0).stdout
    text = run_tool("lanes", "resolve", "user@contoso.example", "-c", file, "--mx",
                    "contoso-example.mail.protection.outlook.com", check=0).stdout
    assert "tried again after 10m, 20m, 40m and then every 80m, each varied by up to 20 % by chance; what is " \
           "older than 48h goes back to its sender\n" in text
    assert f"'microsoft-domains' at {file}:3: it is the provider's group\n" in text
    assert "microsoft-365/default   100%" in text


def test_the_playbook_holds_for_microsoft_alone(resolve):
    ours = resolve("u@contoso.example", PLAYBOOK, "--mx", "contoso-example.mail.protection.outlook.com")
    assert settings(ours)["next_retry"] == ("20m, 40m, 80m", "microsoft-domains")
    assert settings(ours, "lane_settings")["connection_change"] == ("-20%", "microsoft-domains")
    other = resolve("u@example.org", PLAYBOOK, "--mx", "aspmx.l.google.com")
    assert other["policy"] is None
    assert other["sources"][0]["lane"] == "google/default"


@pytest.mark.parametrize("word, near", [("microsft-domains", "microsoft-domains"), ("gogle", "google")])
def test_a_word_that_nobody_knows_is_refused(tmp_path, word, near):
    file = tmp_path / "penstock.yaml"
    file.write_text(PLAYBOOK.replace("microsoft-domains", word), encoding="utf-8")
    told = run_tool("config", "check", "-c", file, check=1).stderr
    assert told.startswith(f"{file}:3:12: key 'destinations[0].destination': there is no provider or group '{word}'")
    assert f"nearest '{near}'" in told
    told = json.loads(run_tool("config", "check", "-c", file, "--json", check=1).stdout)
    assert [error.startswith(f"{file}:3:12:") for error in told["errors"]] == [True]
    assert near in run_tool("lanes", "resolve", "u@a.example", "-c", file, check=1).stderr


def test_providers_of_the_operators_are_known(tmp_path, resolve):
    table = tmp_path / "providers.yaml"
    table.write_text("providers:\n  - name: our-hoster\n    title: Our hoster\n    mx: ['*.hoster.test']\n",
                     encoding="utf-8")
    config = f"providers: {{file: {table}}}\ndestinations: [{{destination: our-hoster, jitter: 1%}}]\n"
    view = resolve("u@d.test", config, "--mx", "mx1.hoster.test")
    assert view["provider"]["name"] == "our-hoster"
    assert settings(view)["jitter"] == ("1%", "our-hoster")


def test_a_file_of_providers_that_is_missing_is_named(tmp_path):
    file = tmp_path / "penstock.yaml"
    file.write_text("providers: {file: /nowhere/providers.yaml}\n", encoding="utf-8")
    assert "/nowhere/providers.yaml" in run_tool("config", "check", "-c", file, check=1).stderr


def test_mx_hosts_are_asked_for(make_nameserver, resolve):
    dns = make_nameserver()
    dns.add("d.test", "MX", "20 backup.d.test.", "10 d-test.mail.protection.outlook.com.")
    dns.add("plain.test", "A", "192.0.2.1")
    dns.add("null.test", "MX", "0 .")
    config = f"dns: {{servers: [\"{dns.address}\"], time_out: 3s, cache: no}}\n"
    view = resolve("u@d.test", config)
    assert view["mx"] == {"hosts": ["d-test.mail.protection.outlook.com", "backup.d.test"], "from": "DNS"}
    assert view["provider"]["name"] == "microsoft-365"
    view = resolve("u@plain.test", config)
    assert view["mx"]["hosts"] == ["plain.test"]
    view = resolve("u@null.test", config)
    assert view["mx"]["hosts"] == [] and "null.test" in view["mx"]["from"]
    assert view["provider"]["name"] is None and view["sources"][0]["lane"] == "unknown/default"


def test_dns_that_fails_is_told(make_nameserver, resolve):
    dns = make_nameserver(rule=lambda query, name, kind: servfail(query))
    view = resolve("u@d.test", f"dns: {{servers: [\"{dns.address}\"], time_out: 3s, cache: no}}\n")
    assert view["mx"]["hosts"] == [] and "d.test" in view["mx"]["from"]


def test_wrong_usage():
    assert "lanes resolve ADDRESS" in run_tool("lanes", "resolve", check=2).stderr
    assert "say show" in run_tool("lanes", "list-all", check=2).stderr
    assert "--mx" in run_tool("lanes", "resolve", "a@b.test", "--mx", "a,,b", check=2).stderr
    assert "--mx is for resolve" in run_tool("lanes", "--mx", "a", check=2).stderr
    run_tool("lanes", "--help", check=0)
