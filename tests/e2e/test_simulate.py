"""`penstock simulate`: scenarios by name and from files, tables, JSON, a page; errors with their place."""
import json

from harness import run_tool

SCENARIO = """title: a short one
duration: 20m
connections: 8
providers:
  - name: a.example
    rate: 20/s
traffic:
  - provider: a.example
    rate: 5/s
events:
  - provider: a.example
    at: 5m
    for: 5m
    capacity: 10%
"""


def test_the_shipped_scenarios_are_listed():
    lines = run_tool("simulate", "--list", check=0).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "spike", "dip", "brown-out", "outage", "flapping", "our-side", "warm-up", "small", "nodes"]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    file, page = tmp_path / "s.yaml", tmp_path / "s.html"
    file.write_text(SCENARIO, encoding="utf-8")
    runs = []
    for seed in (7, 7, 8):
        text = run_tool("simulate", file, "--seed", str(seed), "--html", page, check=0).stdout
        runs.append((text, page.read_bytes()))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert "The playbook against fixed concurrency" in runs[0][0]
    assert b"<svg" in runs[0][1]


def test_json_adds_up(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    told = json.loads(run_tool("simulate", file, "--json", "--policy", "playbook", "--policy", "fixed",
                               check=0).stdout)
    assert [p["policy"] for p in told["policies"]] == ["playbook", "fixed"]
    for p in told["policies"]:
        assert p["attempts"] == p["delivered"] + p["deferred"] + p["failed"]
        assert p["messages"] == p["messages_delivered"] > 0
        assert p["replies"]["capacity"] > 0
        for figure, total in (("arrived", "messages"), ("attempts", "attempts"), ("delivered", "delivered")):
            assert sum(p["minutes"][figure]) == p[total]
        assert len({len(figures) for figures in p["minutes"].values()}) == 1
        assert p["minutes"]["queue"][-1] == 0


def test_the_playbook_has_the_settings_that_are_said(tmp_path):
    file, config = tmp_path / "s.yaml", tmp_path / "penstock.yaml"
    file.write_text(SCENARIO, encoding="utf-8")

    def run(*options):
        told = json.loads(run_tool("simulate", file, "--json", "--policy", "playbook", "--policy", "fixed",
                                   *options, check=0).stdout)
        return [max(p["minutes"]["connections"]) for p in told["policies"]], [p["attempts"] for p in told["policies"]]

    defaults = run()
    config.write_text("lanes: {connections_max: 2}\n", encoding="utf-8")
    for options in (["-c", config], ["--set", "lanes.connections_max=2"],
                    ["-c", config, "--set", "delivery.connections_per_destination_max=30"]):
        connections, attempts = run(*options)
        assert connections[0] == 2 < defaults[0][0]
        assert connections[1] == defaults[0][1] and attempts[1] == defaults[1][1]
    # A block of one's own for the mail of one provider: less patience costs attempts.
    config.write_text("destinations: [{destination: .a.example, initial_retry: 1m, next_retry: 1m}]\n"
                      "lanes: {rest: 0}\n", encoding="utf-8")
    connections, attempts = run("-c", config)
    assert attempts[0] > defaults[1][0] and attempts[1] == defaults[1][1]


def test_settings_that_are_wrong(tmp_path):
    result = run_tool("simulate", "spike", "--set", "lanes.connections_max=many")
    assert result.returncode == 1
    assert "command line: key 'lanes.connections_max': value 'many': allowed:" in result.stderr
    config = tmp_path / "penstock.yaml"
    config.write_text("destinations: [{destination: nobody, initial_retry: 1m}]\n", encoding="utf-8")
    result = run_tool("simulate", "spike", "-c", config)
    assert result.returncode == 1
    assert "there is no provider or group 'nobody'" in result.stderr
    assert run_tool("simulate", "spike", "-c", tmp_path / "none.yaml").returncode == 1


def test_errors_have_their_place(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO.replace("    at: 5m", "    when: 5m"), encoding="utf-8")
    result = run_tool("simulate", file)
    assert result.returncode == 1
    assert f"{file}:12:5: key 'when' is not known in an event" in result.stderr
    assert run_tool("simulate", tmp_path / "none.yaml").returncode == 1
    assert run_tool("simulate", "spike", "--policy", "best").returncode == 2
    assert run_tool("simulate").returncode == 2
