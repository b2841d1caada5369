"""Lanes and policies: what holds for an address, told by the program that will act on it."""
import datetime
import json

import pytest

from harness import merge, new_host, run_tool, wait_until
from nameserver import servfail
from test_deliver import send

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
    assert "'list-all': allowed: show" in run_tool("lanes", "list-all", check=2).stderr
    assert "lanes show LANE" in run_tool("lanes", "google/out1", check=2).stderr
    assert "--mx" in run_tool("lanes", "resolve", "a@b.test", "--mx", "a,,b", check=2).stderr
    assert "--mx '': allowed" in run_tool("lanes", "resolve", "a@b.test", "--mx", "", check=2).stderr
    assert "--mx is for resolve" in run_tool("lanes", "--mx", "a", check=2).stderr
    run_tool("lanes", "--help", check=0)


# ---- a running server ----

MICROSOFT, GOOGLE = "d-test.mail.protection.outlook.com", "aspmx.l.google.com"
PORT = 2600  # each remote has an address of its own


class World:
    """A server with two providers: a domain at Microsoft, a.test, and one at Google, b.test."""

    def __init__(self, make_server, make_nameserver, make_remote):
        self.dns = make_nameserver()
        self.remotes = {}
        for domain, name in (("a.test", MICROSOFT), ("b.test", GOOGLE)):
            self.remotes[domain] = make_remote(host=new_host(), port=PORT, name=name)
            self.dns.add(domain, "MX", f"10 {name}.")
            self.dns.add(name, "A", self.remotes[domain].host)
        self.server = make_server(**merge(self.dns.settings(port=PORT), {
            "retry": {"initial_retry": "1s", "next_retry": "1s", "jitter": "0%"},
            "lanes": {"tick": "200ms", "minute": "1s", "window": "2m", "sample_min": 20},
            "sources": [{"name": "out1"}]}))

    def lanes(self):
        view = json.loads(self.server.tool("lanes", "--json", check=0).stdout)
        return {lane["name"]: lane for lane in view["lanes"]}

    def lane(self, name):
        return json.loads(self.server.tool("lanes", "show", name, "--json", check=0).stdout)

    def wait_lane(self, name, condition, what):
        return wait_until(lambda: (lane := self.lanes().get(name)) and condition(lane) and lane, what)

    def act(self, *arguments):
        return json.loads(self.server.tool("lanes", *arguments, "--json", check=0).stdout)


@pytest.fixture
def world(make_server, make_nameserver, make_remote):
    return World(make_server, make_nameserver, make_remote)


def test_a_lane_in_trouble_and_one_that_is_well(world):
    world.server.start()
    world.remotes["a.test"].rule = lambda phase, *_: (
        "452 4.3.1 Insufficient system resources" if phase == "dot" else None)
    send(world.server, 60, recipients=(b"x@a.test",))
    send(world.server, 60, recipients=(b"x@b.test",))
    bad = world.wait_lane("microsoft-365/out1", lambda lane: lane["band"] == "incident", "an incident")
    assert bad["connections"]["limit"] < bad["connections"]["full"] == 100
    world.remotes["b.test"].wait_mails(60)
    good = world.wait_lane("google/out1", lambda lane: lane["window"]["attempts"] == 60, "60 attempts")
    assert good["band"] == "normal" and good["connections"]["limit"] == 100

    whole = world.lane("microsoft-365/out1")
    assert whole["last"]["action"] == "cut" and whole["last"]["why"]
    assert whole["next_change_ms"] > whole["now_ms"] or whole["last"]["next_change_ms"] > 0
    assert whole["open_incident"]["texts"][0]["text"].endswith("4.3.1 Insufficient system resources")
    text = world.server.tool("lanes", check=0).stdout
    first, second = [line.split()[:2] for line in text.splitlines()[3:5]]
    assert first == ["microsoft-365/out1", "incident"] and second == ["google/out1", "normal"]
    assert "last decision" in world.server.tool("lanes", "show", "microsoft-365/out1", check=0).stdout

    world.remotes["a.test"].rule = None
    world.remotes["a.test"].wait_mails(60)


def test_a_paused_lane_waits_over_a_restart(world):
    world.server.start()
    send(world.server, recipients=(b"x@b.test",))
    world.remotes["b.test"].wait_mails(1)
    world.wait_lane("google/out1", lambda lane: lane["window"]["attempts"] == 1, "its attempt")
    assert world.act("pause", "google/out1")["paused"]
    send(world.server, 3, recipients=(b"x@b.test",))
    send(world.server, 3, recipients=(b"x@a.test",))
    world.remotes["a.test"].wait_mails(3)
    world.server.restart()
    assert world.lane("google/out1")["paused"]
    send(world.server, recipients=(b"x@a.test",))
    world.remotes["a.test"].wait_mails(4)
    assert len(world.remotes["b.test"].mails) == 1
    assert not world.act("resume", "google/out1")["paused"]
    world.remotes["b.test"].wait_mails(4)


def test_a_stop_keeps_what_lanes_have_counted(world):
    """Else each restart gives a day's warm-up more than its share, and the controller less to judge by."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    world.server.write_config(lanes={"minute": "1m"}, destinations=[
        {"destination": "google", "warm_up": "100000000", "warm_up_start": today}])
    world.server.start()
    total = 0
    for count in (1, 5):  # the first is kept at once, what comes in the minute after it at the stop
        send(world.server, count, recipients=(b"x@b.test",))
        total += count
        world.wait_lane("google/out1", lambda lane, total=total: lane["warm_up"]["today_sent"] == total,
                        "their count")
    world.server.restart()
    assert world.lanes()["google/out1"]["window"]["attempts"] == 6
    assert world.lanes()["google/out1"]["warm_up"]["today_sent"] == 6


def test_a_limit_of_the_operators(world):
    world.server.start()
    send(world.server, recipients=(b"x@b.test",))
    world.wait_lane("google/out1", lambda lane: lane["window"]["attempts"] == 1, "its attempt")
    assert world.act("limit", "google/out1", "3")["connections"]["operator"] == 3
    assert world.lanes()["google/out1"]["connections"]["limit"] == 3
    assert world.act("limit", "google/out1", "0")["connections"]["limit"] == 100
    world.server.wait_log(r"notice lane_action lane=google/out1 action=limit connections=3\b")
    told = world.server.tool("lanes", "limit", "google/nobody", "3", check=1).stderr
    assert told == "penstock lanes: There is no lane 'google/nobody'.\n"
    assert "connections" in world.server.tool("lanes", "limit", "google/out1", "many", check=2).stderr


def test_a_reload_changes_lanes(world):
    world.server.start()
    send(world.server, recipients=(b"x@a.test",))
    world.wait_lane("microsoft-365/out1", lambda lane: lane["window"]["attempts"] == 1, "its attempt")
    changes = (({"lanes": {"connections_max": 30}}, 30),
               ({"destinations": [{"destination": "microsoft-domains", "connections_max": 7}]}, 7))
    for count, (settings, full) in enumerate(changes, 1):
        world.server.write_config(**settings)
        world.server.tool("config", "reload", check=0)
        # One at a time: the next is refused until everybody has the settings.
        wait_until(lambda count=count: world.server.log().count("config_reloaded") == count, "the reload")
        world.wait_lane("microsoft-365/out1", lambda lane, full=full: lane["connections"]["full"] == full,
                        "the new limit")
    world.server.write_config(destinations=[{"destination": "microsft-domains"}])
    told = world.server.tool("config", "reload", check=1).stderr
    assert "there is no provider or group 'microsft-domains'" in told
    assert world.lanes()["microsoft-365/out1"]["connections"]["full"] == 7


def test_a_start_with_an_unknown_word_fails(world):
    world.server.write_config(destinations=[{"destination": "gogle"}])
    code, log = world.server.run_to_failure()
    assert code == 1
    assert "there is no provider or group 'gogle'" in log and "nearest 'google'" in log


def test_a_domain_with_a_lane_of_its_own(world):
    world.server.write_config(destinations=[{"destination": "a.test", "connection_change": "-50%"}])
    world.server.start()
    send(world.server, recipients=(b"x@a.test",))
    world.wait_lane("policy:a.test/out1", lambda lane: lane["window"]["attempts"] == 1, "a lane of the block")
    assert "microsoft-365/out1" not in world.lanes()


def test_sources_share_mail_by_weight(world):
    world.server.write_config(
        sources=[{"name": "out1", "ehlo_name": "out1.test"}, {"name": "out2", "ehlo_name": "out2.test"}],
        pools=[{"name": "most", "sources": "out1 x 3, out2"}], delivery={"pool": "most"})
    world.server.start()
    send(world.server, 80, recipients=(b"x@b.test",))
    world.remotes["b.test"].wait_mails(80)

    def counted():
        sent = {name: lane["window"]["attempts"] for name, lane in world.lanes().items()}
        return sent if sum(sent.values()) == 80 else None

    sent = wait_until(counted, "80 attempts")
    # Six standard deviations of a binomial distribution around 60 of 80.
    assert set(sent) == {"google/out1", "google/out2"} and 60 - 24 < sent["google/out1"] < 60 + 24
    hellos = {command.split()[1] for talk in world.remotes["b.test"].talks for command in talk.commands
              if command.upper().startswith(b"EHLO")}
    assert hellos == {b"out1.test", b"out2.test"}
