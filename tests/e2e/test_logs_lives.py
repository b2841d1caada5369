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


FILTERED = """\
Mar  1 10:00:00 mx1 postfix/smtpd[1]: 4A00000001: client=app.example[192.0.2.9]
Mar  1 10:00:00 mx1 postfix/cleanup[2]: 4A00000001: message-id=<1@app.example>
Mar  1 10:00:00 mx1 postfix/qmgr[3]: 4A00000001: from=<a@app.example>, size=100, nrcpt=2 (queue active)
Mar  1 10:00:04 mx1 postfix/smtpd[4]: 4A00000002: client=localhost[127.0.0.1]
Mar  1 10:00:04 mx1 postfix/cleanup[2]: 4A00000002: message-id=<1@app.example>
Mar  1 10:00:04 mx1 postfix/qmgr[3]: 4A00000002: from=<a@app.example>, size=120, nrcpt=2 (queue active)
Mar  1 10:00:04 mx1 postfix/smtp[5]: 4A00000001: to=<b@b.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=4, delays=0/0/0/4, \
dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4A00000002)
Mar  1 10:00:04 mx1 postfix/smtp[5]: 4A00000001: to=<c@c.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=4, delays=0/0/0/4, \
dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4A00000002)
Mar  1 10:00:04 mx1 postfix/qmgr[3]: 4A00000001: removed
Mar  1 10:00:05 mx1 postfix/smtp[6]: 4A00000002: to=<b@b.example>, relay=mx.b.example[198.51.100.7]:25, delay=1, delays=0/0/0/1, \
dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 7B3919AE693)
Mar  1 10:00:05 mx1 postfix/smtp[6]: 4A00000002: to=<c@c.example>, relay=mx.c.example[198.51.100.8]:25, delay=1, delays=0/0/0/1, \
dsn=4.3.1, status=deferred (host mx.c.example[198.51.100.8] said: 452 4.3.1 Insufficient system storage (in reply to MAIL FROM \
command))
Mar  1 10:05:00 mx1 postfix/smtp[6]: 4A00000002: to=<c@c.example>, relay=mx.c.example[198.51.100.8]:25, delay=296, delays=0/0/0/1, \
dsn=2.0.0, status=sent (250 2.0.0 Ok)
Mar  1 10:05:00 mx1 postfix/qmgr[3]: 4A00000002: removed
"""


def test_a_content_filter_is_no_destination(tmp_path):
    path = tmp_path / "mail.log"
    path.write_text(FILTERED, "utf-8")
    report = delivery(path)
    n = counts_of(report)
    assert (n["messages"], n["recipients"], n["delivered"], n["pending"], n["lost"]) == (1, 2, 2, 0, 0)
    assert (n["first_attempts"], n["first_attempt_delivered"], n["retry_delivered"], n["orphan_attempts"]) == (2, 1, 1, 0)
    assert sorted(row["provider"] for row in report["by_provider"]) == ["b.example", "c.example"]
    assert [row["max"] for row in report["time_to_delivery"]] == [300_000]
    assert "2 times a recipient went through a content filter" in "\n".join(report["notes"])


def test_a_filter_of_another_log_is_a_destination(tmp_path):
    path = tmp_path / "mail.log"
    path.write_text("".join(line for line in FILTERED.splitlines(True) if "4A00000001: " in line), "utf-8")
    report = delivery(path)
    n = counts_of(report)
    assert (n["messages"], n["delivered"]) == (1, 2)
    assert "2 deliveries to a port of this host led to an id that is not in these logs" in "\n".join(report["notes"])
