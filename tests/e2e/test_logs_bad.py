"""`penstock logs` on what is no log, or a broken one: told, never a crash, never silent."""
import gzip
import json
import os
import random
import re
import subprocess
import threading

import pytest

import harness

HEADER = b"#Software: x\r\n#Log-type: SMTP Send Protocol Log\r\n#Fields: date-time,connector-id,session-id,sequence-number," \
         b"local-endpoint,remote-endpoint,event,data,context\r\n"
ROW = b"2026-03-01T09:51:21.466Z,Internet,08D0A8D416004018,%d,192.0.2.10:4383,198.18.0.7:25,<,%s,\r\n"
REFUSED = b"452 4.3.1 Insufficient system resources"
TRACKING = b"#Log-type: Message Tracking Log\r\n#Fields: date-time,internal-message-id,event-id,recipient-address," \
           b"recipient-status\r\n"
TRACKED = b"2026-03-01T09:51:21.466Z,%d,FAIL,a@b.example,%s\r\n"
POSTFIX = b"Mar  1 08:34:4%d mx1 postfix/smtpd[2012]: NOQUEUE: reject: MAIL from unknown[203.0.113.77]: " \
          b"452 4.3.1 Insufficient system storage; proto=ESMTP helo=<x>\n"


def logs(report, *arguments, zone="UTC"):
    return subprocess.run([harness.BINARY, "logs", report, "--json", "--tz", zone, *arguments],
                          capture_output=True, timeout=120, check=False)


def reports():
    text = subprocess.run([harness.BINARY, "logs", "--help"], capture_output=True, text=True, check=True).stdout
    return [name for name in re.findall(r"^  (\w+) {2,}", text, re.M) if name not in ("trace", "query")]


def parsed(done):
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    return json.loads(done.stdout.decode("utf-8"))


def rows_read(report):
    return int(re.search(r"(\d+) rows? read", " ".join(report["notes"])).group(1))


random.seed(20261123)
BROKEN = {
    "empty": b"",
    "newlines": b"\n\r\n\n",
    "binary": random.randbytes(200_000),
    "nuls": b"\0" * 70_000,
    "header-only": HEADER,
    "torn": HEADER + ROW % (1, REFUSED) + (ROW % (2, REFUSED))[:-30],
    "wrong-columns": HEADER + b"2026-03-01T09:51:21.466Z,a,b\r\n" + b"," * 500 + b"\r\n" + ROW % (1, REFUSED),
    "open-quote": HEADER + ROW % (1, b'"' + REFUSED) + ROW % (2, REFUSED),
    "quotes": TRACKING + b'x","y\n' * 150_000,  # each may begin a row that ends nowhere
    "quotes-of-replies": HEADER + (ROW % (1, b'"452 4.3.1 "'))[:-3] + b'"' + (b'2<,"4","\n' * 100_000),
    "invalid-utf-8": HEADER + ROW % (1, b"452 4.3.1 \xff\xfe\xc3( resources"),
    "nul-in-row": HEADER + b"\0\0\0" + ROW % (1, REFUSED) + b"\0" * 300 + b"\r\n" + ROW % (2, REFUSED),
    "long-line": HEADER + ROW % (1, b"452 4.3.1 " + b"x" * 3_000_000) + ROW % (2, REFUSED),
    "no-header": ROW % (1, REFUSED) * 5,
    "many-columns": b"#Log-type: SMTP Send Protocol Log\n#Fields: " + b",".join(b"c%d" % n for n in range(5000)) + b"\n" +
                    ROW % (1, REFUSED),
    "postfix-and-rubbish": b"".join(POSTFIX % n for n in range(5)) + b"\xff\0rubbish\n" + POSTFIX % 6,
    "json": b'{"type":"TransientFailure","id":"1","recipient":"a@b.test"' * 3 + b"\n",
    "deep-json": b'{"type":"Delivery","id":' + b"[" * 100_000 + b"\n",
    "gzip-of-nothing": gzip.compress(b""),
    "half-gzip": gzip.compress(HEADER + ROW % (1, REFUSED) * 5000)[:200],
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    for report in reports():
        done = logs(report, path)
        assert parsed(done)["notes"], report
    assert logs("trace", "452", path).returncode in (0, 1)
    every_format = subprocess.run([harness.BINARY, "logs", "--help"], capture_output=True, text=True, check=True).stdout
    for form in re.findall(r"^ {20,}([a-z-]+) {2,}\S", every_format, re.M):
        assert parsed(logs("status", "--format", form, path))["notes"], form


@pytest.mark.parametrize("name, rows, told", [
    ("torn", 1, "cut: the last line has no end; the first is .*:5"),
    ("wrong-columns", 1, None),
    ("nul-in-row", 2, "nothing but NUL bytes; the first is .*:5"),
    ("long-line", 1, "longer than 256 KiB; the first is .*:4"),
    ("postfix-and-rubbish", 6, "skipped 1: .*; the first is .*:6"),
    ("half-gzip", None, "ends in the middle"),
    ("binary", 0, "of no format that is known"),
])
def test_what_is_told(name, rows, told, tmp_path):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    report = parsed(logs("capacity", path))
    if rows is not None:
        assert rows_read(report) == rows
    if told:
        assert re.search(told, "\n".join(report["notes"])), report["notes"]


def test_rows_of_several_lines_over_chunks(tmp_path):
    """A chunk has 1 MiB: the row lies over its end at every byte in turn."""
    row = TRACKED % (2, b'"550 5.1.1 no,\r\n""such""\n\nuser"')
    for name in ("tracking.log", "tracking.gz"):
        for before in range(0, len(row) + 2, 7):
            text = TRACKING + TRACKED % (1, b"550 5.1.1 no")
            text += b"#" * (2**20 - before - len(text) - 200_001) + b"\n" + b"#" * 199_999 + b"\n" + row + TRACKED % (3, b"550 5.1.1 no")
            (tmp_path / name).write_bytes(gzip.compress(text, 1) if name.endswith(".gz") else text)
            report = parsed(logs("status", tmp_path / name))
            assert rows_read(report) == 3 and "skipped 1" not in "\n".join(report["notes"]), (name, before)


def test_good_rows_among_broken_ones_count(tmp_path):
    for name in ("nul-in-row", "torn", "invalid-utf-8"):
        (tmp_path / name).write_bytes(BROKEN[name])
    done = logs("status", tmp_path)
    assert sum(row["hits"] for row in parsed(done)["by_status"]) == 4


def test_a_file_that_grows_and_one_that_shrinks(tmp_path):
    path = tmp_path / "send.log"
    path.write_bytes(HEADER + ROW % (1, REFUSED) * 200_000)
    stop = threading.Event()

    def change():
        with open(path, "r+b") as file:
            while not stop.is_set():
                file.truncate(len(HEADER) + random.randrange(10_000_000))
                file.seek(0, os.SEEK_END)
                file.write(ROW % (1, REFUSED) * random.randrange(50_000))
                file.flush()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        notes = [note for report in ("status", "capacity", "delivery") * 3 for note in parsed(logs(report, path))["notes"]]
    finally:
        stop.set()
        thread.join()
    told = [note for note in notes if "while it was read" in note]
    assert told and all(re.match(rf"{path} (grew|shrank) while it was read: \d+ bytes at the begin, \d+ at the end; ", note)
                        for note in told)
    assert "while it was read" not in "\n".join(parsed(logs("status", path))["notes"])


def test_no_such_file(tmp_path):
    done = logs("status", tmp_path / "none.log")
    assert done.returncode == 1 and b"there is no such file" in done.stderr
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "good.log").write_bytes(HEADER + ROW % (1, REFUSED))
    done = logs("status", tmp_path)
    report = parsed(done)
    assert done.returncode == 1 and rows_read(report) == 1
    assert re.search("loop: .*symbolic", "\n".join(report["notes"]))


def test_a_file_that_cannot_be_read(tmp_path):
    # Reading it fails also for root.
    done = logs("status", "--format", "postfix", "/proc/self/mem")
    assert done.returncode == 1 and re.search("mem: ", "\n".join(parsed(done)["notes"]))


def test_years_are_inferred_and_said(tmp_path):
    path = tmp_path / "mail.log"
    path.write_bytes(b"".join(stamp + (POSTFIX % 1)[15:] for stamp in (
        b"Dec 31 23:59:58", b"Dec 31 23:59:59", b"Jan  1 00:00:00", b"Dec 31 23:59:59", b"Jan  1 00:00:01")))
    os.utime(path, (1767312000, 1767312000))  # 2026-01-02
    report = parsed(logs("daily", path))
    assert [(row["day"], row["replies"]) for row in report["days"]] == [("2025-12-31", 3), ("2026-01-01", 2)]
    assert "year is inferred" in "\n".join(report["notes"])
    report = parsed(logs("daily", "--year", "2011", path))
    assert [row["day"] for row in report["days"]] == ["2011-12-31", "2012-01-01"]


def test_zones(tmp_path):
    path = tmp_path / "mail.log"
    path.write_bytes(POSTFIX % 1)
    os.utime(path, (1772400000, 1772400000))
    first, = parsed(logs("status", path, zone="UTC"))["by_status"]
    other, = parsed(logs("status", path, zone="Europe/Berlin"))["by_status"]
    assert first["first_ms"] - other["first_ms"] == 3600_000
    assert logs("status", path, zone="Mars/Olympus").returncode == 2


def test_standard_input(tmp_path):
    text = HEADER + ROW % (1, REFUSED) * 3
    for packed in (text, gzip.compress(text)):
        done = subprocess.run([harness.BINARY, "logs", "status", "--json", "-"], input=packed, capture_output=True, check=False)
        assert parsed(done)["by_status"][0]["hits"] == 3


def test_wrong_options(tmp_path):
    path = tmp_path / "send.log"
    path.write_bytes(HEADER)
    for options, word in ((("--class", "6"), "--class 6"), (("--by", "moon"), "--by moon"), (("--format", "x"), "--format x"),
                          (("--table", "x"), "--table x is for --csv"), (("--json", "--csv"), "one of them")):
        done = subprocess.run([harness.BINARY, "logs", "status", *options, path], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and word in done.stderr, done.stderr
    done = subprocess.run([harness.BINARY, "logs", "status", "--csv", "--table", "x", path], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and "by_status, by_text" in done.stderr


def penstock_logs(*arguments, **options):
    return subprocess.run([harness.BINARY, "logs", *arguments], capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.fixture
def send_log(tmp_path):
    path = tmp_path / "send.log"
    path.write_bytes(HEADER + ROW % (1, REFUSED))
    return path


def test_links_that_lead_back_are_not_followed(send_log, tmp_path):
    (tmp_path / "self").symlink_to(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / ".hidden").write_bytes(send_log.read_bytes())
    os.mkfifo(tmp_path / "pipe.log")
    for where in (tmp_path, f"{tmp_path}/*"):
        report = parsed(logs("status", where))
        assert rows_read(report) == 1
        assert "passed over" in "\n".join(report["notes"])


@pytest.mark.parametrize("statement", ["vacuum", "reindex", "vacuum into 'x.db'", "attach 'x.db' as x", "pragma user_version",
                                       "select load_extension('x')", "select 1; select 2", "delete from logs", ""])
def test_query_only_reads(statement, send_log, tmp_path):
    done = penstock_logs("query", statement, send_log, cwd=tmp_path)
    assert done.returncode in (1, 2) and done.stderr, (done.returncode, done.stderr)
    assert not (tmp_path / "x.db").exists()


def test_a_full_disk_is_told(send_log):
    for options in ((), ("--json",), ("--csv",)):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([harness.BINARY, "logs", "status", *options, send_log], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False)
        assert done.returncode == 1 and "No space left" in done.stderr


def test_a_page_does_not_overwrite_a_log(send_log, tmp_path):
    before = send_log.read_bytes()
    done = penstock_logs("status", "--html", send_log, send_log)
    assert done.returncode == 1 and "no HTML page" in done.stderr
    assert send_log.read_bytes() == before
    for _ in range(2):
        assert penstock_logs("status", "--html", tmp_path / "page.html", send_log).returncode == 0


def test_texts_of_a_log_do_no_harm(tmp_path):
    path = tmp_path / "send.log"
    path.write_bytes(HEADER[:-2] + b",\x1b]0;x\x07\x1b[31mx\"y\r\n" + (ROW % (1, REFUSED + b" \x1b[31m"))[:-2] + b",z\r\n")
    for arguments in (("query", "select * from logs"), ("query", "select nosuchcolumn from logs"), ("status",), ("top",),
                      ("trace", "452"), ("\x1b[31m",)):
        done = penstock_logs(*arguments, path)
        assert "\x1b" not in done.stdout + done.stderr, arguments
    json.loads(penstock_logs("query", "select * from logs", "--json", path).stdout)


def test_what_is_wrong_is_told_beside_csv(tmp_path):
    path = tmp_path / "torn"
    path.write_bytes(BROKEN["torn"])
    done = penstock_logs("status", "--csv", path)
    assert "cut: the last line has no end" in done.stderr and "cut" not in done.stdout
