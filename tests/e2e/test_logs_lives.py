"""`penstock logs delivery` where the lines of one message are not as simple as those of others."""
import json
import subprocess

import pytest

import harness


def delivery(path):
    done = subprocess.run([harness.BINARY, "logs", "delivery", "--json", "--tz", "UTC", path], capture_output=True, timeout=60,
                          check=True)
    return json.loads(done.stdout)


def counts_of(report):
    return {row["name"]: row["count"] for row in report["messages"]}


def received(number, ms):
    return f'{{"schema":1,"time":"2026-03-01T10:00:00.{ms:03}Z","event":"received","id":"{number}","sender":"a@b.example",' \
           f'"recipients":1}}\n'


def delivered(number, ms):
    return f'{{"schema":1,"time":"2026-03-01T10:00:00.{ms:03}Z","event":"delivered","id":"{number}","recipient":"c@d.example",' \
           f'"attempt":1,"code":250,"reply":"250 2.0.0 OK"}}\n'


@pytest.mark.parametrize("behind", [0, 1, 3, 100])
def test_lines_of_threads_in_any_order(behind, tmp_path):
    """A message may be delivered a few lines before it is received, over the border of files and of chunks too."""
    count, padding = 200, '{"time":"2026-03-01T10:00:00.000Z","level":"info","event":"note","text":"' + "x" * 20_000 + '"}\n'
    arrivals = [received(n, n) for n in range(count)]
    ends = [delivered(n, n) + padding for n in range(count)]
    lines = ends[:behind]
    for n in range(count):
        lines.append(arrivals[n])
        lines += ends[n + behind:n + behind + 1]
    (tmp_path / "1.log").write_text("".join(lines[:150]), "utf-8")
    (tmp_path / "2.log").write_text("".join(lines[150:]), "utf-8")
    n = counts_of(delivery(tmp_path))
    assert (n["messages"], n["first_attempt_delivered"], n["orphan_attempts"], n["pending"]) == (count, count, 0, 0)
