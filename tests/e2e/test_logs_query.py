"""`penstock logs query`: statements as operators have them, against the generator's truth."""
import collections
import csv
import datetime
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import zoneinfo

import pytest

import harness
from logs_truth import GENERATOR, VARIANTS, generate

PENSTOCK = str(harness.BINARY)
HITS = ("SELECT data as [Status Code],Count(*) as Hits FROM *.log WHERE data LIKE '4%' GROUP BY data "
        "ORDER BY Hits DESC")
DAILY = ("SELECT TO_LOCALTIME(TO_TIMESTAMP(EXTRACT_PREFIX(TO_STRING([#Fields: date-time]),0,'T'), "
         "'yyyy-MM-dd')) AS Date, COUNT(*) AS Hits from *.log where (data LIKE '4%') GROUP BY Date "
         "ORDER BY Date ASC")
IGNORED = ("-i:CSV", "-nSkipLines:4", "-rtp:-1")
PROTOCOL = [v for v in VARIANTS if v[0] in ("exchange-send", "exchange-recv")]

pytestmark = pytest.mark.skipif(not GENERATOR.exists(), reason=f"there is no generator of logs: {GENERATOR}")


def name_of(variant):
    return "-".join((variant[0], str(variant[1])))


@pytest.fixture(scope="module", params=VARIANTS, ids=name_of)
def logs(request, tmp_path_factory):
    form, seed, options = request.param
    return generate(tmp_path_factory.mktemp(f"q-{form}-{seed}"), form, seed, options)


@pytest.fixture(scope="module", params=PROTOCOL, ids=name_of)
def protocol(request, tmp_path_factory):
    form, seed, options = request.param
    return generate(tmp_path_factory.mktemp(f"qp-{form}-{seed}"), form, seed, options)


@pytest.fixture(scope="module")
def one_log(tmp_path_factory):
    form, seed, options = PROTOCOL[0]
    return generate(tmp_path_factory.mktemp("q-one"), form, seed, options)


def run(*words, zone="UTC", check=0):
    done = subprocess.run([PENSTOCK, "logs", "--tz", zone, "query", *words], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == check, done.stderr + done.stdout
    return done.stdout if check == 0 else done.stderr


def rows(*words, **more):
    return json.loads(run("--json", *words, **more))


def of_files(statement, logs):
    """The statement with this log's files after FROM."""
    return re.sub(r"(?i)from \*\.log", lambda m: m[0][:5] + ", ".join(f"'{f}'" for f in logs.files), statement)


def texts_of(logs, got):
    """The truth has sums of what looks like a certificate's thumbprint, and texts of all else."""
    hexes = sum(n for text, n in got.items() if re.fullmatch("[0-9A-F]{32}|[0-9A-F]{40}", text))
    assert hexes == logs.truth["data_like_4_certificate_hex"]
    return {text: n for text, n in got.items() if not re.fullmatch("[0-9A-F]{32}|[0-9A-F]{40}", text)}


def test_hits(protocol):
    got = rows(of_files(HITS, protocol), *IGNORED)
    hits = [row["Hits"] for row in got["rows"]]
    assert hits == sorted(hits, reverse=True)
    assert texts_of(protocol, {row["Status Code"]: row["Hits"] for row in got["rows"]}) == \
        protocol.truth["data_like_4_text"]
    assert got["statistics"][0]["elements_processed"] == protocol.truth["totals"]["records"]
    assert got["statistics"][0]["elements_output"] == len(hits)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_daily(protocol, zone):
    got = rows(of_files(DAILY, protocol), *IGNORED, zone=zone)["rows"]
    assert {row["Date"]: row["Hits"] for row in got} == protocol.truth["data_like_4_per_day"]
    assert [row["Date"] for row in got] == sorted(row["Date"] for row in got)


def test_daily_of_a_zone(protocol):
    """A time is converted where it still is one."""
    zone = "America/New_York"
    got = rows(of_files("SELECT TO_DATE(TO_LOCALTIME([#Fields: date-time])) AS Date, COUNT(*) AS Hits FROM *.log "
                        "WHERE data LIKE '4%' GROUP BY Date", protocol), zone=zone)
    wanted = collections.Counter()
    for row in rows("SELECT time FROM logs WHERE data LIKE '4%'", *protocol.files)["rows"]:
        at = datetime.datetime.fromisoformat(row["time"].replace("Z", "+00:00"))
        wanted[str(at.astimezone(zoneinfo.ZoneInfo(zone)).date())] += 1
    assert {row["Date"]: row["Hits"] for row in got["rows"]} == wanted
    assert any("TO_LOCALTIME(time) is of America/New_York" in note for note in got["notes"])
    assert not any("TO_LOCALTIME" in note for note in rows("SELECT 1 FROM logs", *protocol.files)["notes"])


def test_by_columns_made_of_the_row(protocol):
    """The same question to SQLite's own dialect, one that no condition on a field narrows."""
    got = rows("SELECT day, count(*) AS n FROM logs WHERE substr(data, 1, 1) = '4' GROUP BY day", *protocol.files)
    assert {row["day"]: row["n"] for row in got["rows"]} == protocol.truth["data_like_4_per_day"]


def test_conditions_agree(protocol):
    """What is looked for by bytes and what SQLite finds by itself are the same."""
    hits = 0
    for condition, plain in (
            ("data LIKE '%452 4.3.1%'", "instr(data, '452 4.3.1')"),
            ("data LIKE '%insufficient SYSTEM%'", "instr(lower(data), 'insufficient system')"),
            ("data LIKE '4_2%4.3.1%'", "substr(data, 1, 1) = '4' AND substr(data, 3, 1) = '2' AND instr(data, '4.3.1')"),
            ("data = 'QUIT'", "data || '' = 'QUIT'"),
            ("[event] = '*' AND context LIKE '%permissions'", "event || '' = '*' AND context || '' LIKE '%permissions'"),
            ("code = 452", "code + 0 = 452"),
            ("data LIKE '%\"%'", "instr(data, '\"')"),
            ("[sequence-number] = '4'", "CAST([sequence-number] AS INTEGER) = 4"),
            ("[date-time] >= '2026-03-03' AND [date-time] < '2026-03-04'", "day || '' = '2026-03-03'"),
            ("day = '2026-03-04'", "substr([date-time], 1, 10) = '2026-03-04'")):
        counts = [rows(f"SELECT count(*) AS n, sum(length(data)) AS bytes FROM logs WHERE {where}",
                       *protocol.files)["rows"][0] for where in (condition, plain)]
        assert counts[0] == counts[1], condition
        hits += counts[0]["n"] > 0
    assert hits >= 4


def test_all_rows(logs):
    """Each format is a table; each row of it is one, and has its day."""
    got = rows("SELECT day, count(*) AS n FROM logs GROUP BY day", *logs.files)
    assert {row["day"]: row["n"] for row in got["rows"]} == logs.truth["records_per_day"]
    assert got["statistics"][0]["elements_processed"] == logs.truth["totals"]["records"]


def test_codes(logs):
    """code is a number of the reply in each format, also where a field has that name."""
    got = rows("SELECT code, count(*) AS n FROM logs WHERE code NOT NULL GROUP BY code", *logs.files)["rows"]
    assert got or logs.format == "exchange-conn"  # its replies are made of whole connections
    assert all(200 <= row["code"] <= 599 for row in got)
    if logs.format == "haraka":
        assert {"OK", "CONT"} <= {row["c"] for row in rows("SELECT DISTINCT log_code AS c FROM logs",
                                                           *logs.files)["rows"]}


def status_by_provider(files):
    done = subprocess.run([PENSTOCK, "logs", "status", "--by", "provider", "-n", "0", "--json", "--tz", "UTC", *files],
                          capture_output=True, text=True, timeout=120, check=True)
    counts = collections.Counter()
    for row in json.loads(done.stdout)["by_who"]:
        counts[row["code"], row["who"]] += row["hits"]
    return counts


def refusals_by_provider(files, condition="1", event="<"):
    """A refusal is told by the last line of its reply."""
    got = rows("SELECT code, provider, count(*) AS n FROM logs WHERE code >= 400 AND substr(data, 4, 1) <> '-' "
               f"AND event = '{event}' AND {condition} GROUP BY 1, 2", *files)["rows"]
    return collections.Counter({(row["code"], row["provider"] or "none"): row["n"] for row in got})


def test_providers(protocol):
    """A row's provider is that of its session, as the report tells it."""
    wanted = status_by_provider(protocol.files)
    assert len(wanted) > 3
    event = "<" if protocol.format == "exchange-send" else ">"
    assert refusals_by_provider(protocol.files, event=event) == wanted
    name = max((n, who) for (_, who), n in wanted.items() if who != "none")[1]
    assert refusals_by_provider(protocol.files, f"provider = '{name}'", event) == \
        collections.Counter({key: n for key, n in wanted.items() if key[1] == name})


def protocol_log(path, sessions, filler):
    """Sessions that are begun, so many bytes of others, and what happens in them then."""
    def line(number, sequence, event, data):
        return (f"2026-03-01T00:00:00.000Z,Out,{number:016X},{sequence},192.0.2.10:1,198.51.100.7:25,{event},"
                f"{data},\r\n")
    text = ["#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: SMTP Send Protocol Log\r\n"
            "#Date: 2026-03-01T00:00:00.000Z\r\n#Fields: date-time,connector-id,session-id,sequence-number,"
            "local-endpoint,remote-endpoint,event,data,context\r\n"]
    pad = line(10**6, 1, "<", "250-" + 900 * "x")
    for number, (before, _) in enumerate(sessions):
        text += [line(number, i, *row) for i, row in enumerate(before)]
    text += [line(10**6, 0, "+", ""), line(10**6, 1, "<", "220 mx.filler.example hello")]
    text += [pad] * (filler // len(pad) + 1)
    for number, (before, after) in enumerate(sessions):
        text += [line(number, len(before) + i, *row) for i, row in enumerate(after)]
    path.write_text("".join(text))
    return [str(path)]


def test_providers_across_chunks(tmp_path):
    """What a session said two chunks ago is known; what it never said is not made up."""
    begun, greeted = ("+", ""), ("<", "220 mx.early.example ready")
    asked, refused = (">", "MAIL FROM:<a@b.example>"), ("<", "452 4.3.1 mx.other.example is full")
    files = protocol_log(tmp_path / "SEND1.LOG", [
        ([begun], [("<", "421 mx.busy.example come back later")]),  # the greeting refuses
        ([begun, greeted, asked], [refused]),
        ([begun, asked], [refused]),  # no greeting: the name in a refusal is not the host's
        ([], [refused]),  # began before the log
        ([], [("<", "220 mx.late.example ready"), asked, refused]),
        ([begun, greeted, ("-", "")], [refused]),  # over: nothing is known of the id's next use
        ([begun, greeted], [begun, asked, refused]),
        ([begun, ("<", "220-mx.long.example")], [("<", "220 mx.other.example"), asked, refused]),
    ], 2 * 1024 * 1024)
    got = rows("SELECT [session-id] AS s, provider AS p FROM logs WHERE code BETWEEN 400 AND 499", *files)["rows"]
    assert [row["p"] for row in got] == ["busy.example", "early.example", None, None, "late.example", None, None,
                                         "long.example"]
    assert refusals_by_provider(files) == status_by_provider(files)


def test_lines(protocol):
    """file and line lead to the row."""
    for row in rows("SELECT file, line, [session-id] AS s, data FROM logs WHERE data LIKE '4%' LIMIT 20",
                    *protocol.files)["rows"]:
        with open(row["file"], "rb") as f:
            line = f.read().split(b"\n")[int(row["line"]) - 1].decode()
        fields = next(csv.reader(io.StringIO(line)))
        assert fields[2] == row["s"] and fields[7] == row["data"]


def test_shares(protocol):
    got = rows(of_files("SELECT event, COUNT(*) AS n, PROPCOUNT(*) AS p FROM *.log GROUP BY event", protocol))
    total = protocol.truth["totals"]["records"]
    assert sum(row["n"] for row in got["rows"]) == total
    for row in got["rows"]:
        assert row["p"] == float(f"{row['n'] / total:.6f}")


def test_shares_with_having(protocol):
    got = rows(of_files("SELECT event, COUNT(*) AS n, PROPCOUNT(*) AS p FROM *.log GROUP BY event "
                        "HAVING COUNT(*) > 100 ORDER BY n DESC", protocol))["rows"]
    assert got and got[0]["p"] == float(f"{got[0]['n'] / protocol.truth['totals']['records']:.6f}")


def test_numbers_of_json(protocol):
    """A number is one in JSON, whatever else its column holds; text and CSV show it as SQLite writes it."""
    statement = "SELECT {} FROM logs LIMIT 1"
    values = ("1.5 AS a, -3 AS b, 2 AS c, 1e300 AS d, 1234567.125 AS e, 9007199254740993 AS f, '7' AS g, NULL AS h, "
              "9e999 AS i, 0.1 AS j, -9223372036854775808 AS k")
    assert rows(statement.format(values), *protocol.files)["rows"] == [
        {"a": 1.5, "b": -3, "c": 2, "d": 1e300, "e": 1234567.125, "f": 9007199254740993, "g": "7", "h": None,
         "i": "Inf", "j": 0.1, "k": -9223372036854775808}]
    assert run("--csv", statement.format(values), *protocol.files).splitlines()[1] == \
        "1.5,-3,2,1.0e+300,1234567.125,9007199254740993,7,,Inf,0.1,-9223372036854775808"
    mixed = rows("SELECT CASE class WHEN 'capacity' THEN 1 WHEN 'policy' THEN 0.5 ELSE 'x' END AS v, count(*) AS n "
                 "FROM logs WHERE code BETWEEN 400 AND 599 GROUP BY v ORDER BY v", *protocol.files)["rows"]
    assert {type(row["v"]) for row in mixed} <= {float, int, str} and len(mixed) > 1
    assert mixed[-1]["v"] == "x" and not isinstance(mixed[0]["v"], str)


def test_top(protocol):
    got = rows(of_files("SELECT TOP 3 SUBSTR(data, 0, 3) AS Code, COUNT(*) AS n FROM *.log "
                        "WHERE data LIKE '4%' GROUP BY Code ORDER BY n DESC", protocol))["rows"]
    counts = collections.Counter()
    for row in rows(of_files(HITS, protocol))["rows"]:
        counts[row["Status Code"][:3]] += row["Hits"]
    assert [row["n"] for row in got] == [n for _, n in counts.most_common(3)]
    assert all(len(row["Code"]) == 3 for row in got)


def test_text_ends_with_statistics(protocol):
    lines = run(of_files(HITS, protocol), *IGNORED).splitlines()
    at = lines.index("Statistics:")
    assert lines[at + 1] == "-----------"
    assert lines[at + 2] == f"Elements processed: {protocol.truth['totals']['records']}"
    assert re.fullmatch(r"Elements output:    \d+", lines[at + 3])
    assert re.fullmatch(r"Execution time:     \d+\.\d\d seconds", lines[at + 4])


def test_standard_input_and_csv(protocol):
    data = b"".join(open(f, "rb").read() for f in protocol.files[:1])
    done = subprocess.run([PENSTOCK, "logs", "query", "--csv", "SELECT count(*) AS n FROM logs", "-"], input=data,
                          capture_output=True, timeout=120, check=True)
    assert int(done.stdout.split()[1]) == protocol.truth["files"][0]["records"]


@pytest.mark.parametrize("statement, said", [
    ("SELECT dta FROM *.log", "did you mean 'data'?"),
    ("SELECT nothing_like_it FROM *.log", "the columns are date-time"),
    ("SELECT EXTRACT_PREFX(data, 0, 'x') FROM *.log", "did you mean 'EXTRACT_PREFIX'?"),
    ("SELECT data INTO out.csv FROM *.log", "INTO out.csv is not taken"),
    ("SELECT data FROM *.log WHERE", "WHERE: what?"),
    ("SELECT data FROM *.log UNION SELECT data FROM *.log", "UNION is not Log Parser's: it has FROM a.log, b.log"),
    ("SELECT data FROM *.log LIMIT 3", "SELECT TOP 10"),
    ("SELECT data FROM *.log; SELECT data FROM *.log", "one statement at a time"),
    ("SELECT data, FROM *.log", "nothing after the last comma"),
    ("SELECT SUBSTR(data) FROM *.log", "SUBSTR takes 2 or 3 arguments"),
    ("SELECT TO_DATE() FROM *.log", "TO_DATE takes 1 argument\n"),
    ("SELECT STRLEN(zeroblob(16777217)) FROM *.log", "more than 16 MiB"),
])
def test_what_is_wrong(protocol, statement, said):
    assert said in run(of_files(statement, protocol), check=1)


@pytest.mark.parametrize("statement", ["DELETE FROM logs", "ATTACH 'x' AS y", "PRAGMA database_list",
                                       "CREATE TABLE t(a)", "SELECT load_extension('x')",
                                       "VACUUM INTO 'x'", "SELECT :what FROM logs",
                                       "SELECT hex(fts3_tokenizer('simple')) FROM logs",
                                       "SELECT 1 FROM logs; SELECT 2 FROM logs"])
def test_reads_and_nothing_else(protocol, statement):
    run(statement, *protocol.files, check=1)


COUNT_TO = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {}) SELECT n{} FROM c"


@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_keeps_no_rows(one_log, form):
    """Rows are printed as they come: of 300 MB that were printed nothing is held."""
    statement = COUNT_TO.format(150000, ", printf('%.2000c', 'x') AS x")
    # A sanitizer keeps what is freed.
    env = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"}
    with subprocess.Popen([PENSTOCK, "logs", "query", form, statement, one_log.files[0]], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, env=env) as process:
        for _ in range(280):
            assert len(process.stdout.read(1000000)) == 1000000
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        process.kill()
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 150 * 1024  # sanitizers have their share


def test_all_rows_come(one_log):
    statement = COUNT_TO.format(3000, ", printf('%.2000c', 'x') AS x")
    lines = run("--csv", statement, one_log.files[0]).split("\n")
    assert lines[0] == "n,x" and lines[3000].startswith("3000,xx") and lines[3001:] == [""]
    got = rows(statement, one_log.files[0])
    assert [row["n"] for row in got["rows"]] == list(range(1, 3001))
    assert got["statistics"][0]["elements_output"] == 3000 and got["rows_left_out"] == {}


def test_limit_without_keeping(one_log):
    got = rows("-n", "2", COUNT_TO.format(5, ""), *one_log.files[:1])
    assert [row["n"] for row in got["rows"]] == [1, 2] and got["rows_left_out"] == {"rows": 3}
    assert run("-n", "2", "--csv", COUNT_TO.format(5, ""), *one_log.files[:1]).split() == ["n", "1", "2"]
    assert run("--csv", "--table", "statistics", COUNT_TO.format(5, ""), *one_log.files[:1]).startswith(
        "elements_processed,elements_output,")


def test_cut_is_told(one_log):
    printed = run(COUNT_TO.format(1000002, ""), one_log.files[0])
    assert "\n... and 2 more rows\n" in printed
    assert "the result is cut: at most 1000000 rows and 512 MiB" in printed and "use --csv or --json" in printed


def test_long_pattern(one_log):
    """SQLite refuses it, and that is told."""
    why = run("SELECT count(*) FROM logs WHERE data LIKE printf('%.60000c', '%')", *one_log.files, check=1)
    assert "LIKE or GLOB pattern too complex" in why


def test_without_an_end(one_log):
    """Ctrl-C ends what would not end by itself."""
    with subprocess.Popen([PENSTOCK, "logs", "query", COUNT_TO.format(-1, "").replace("SELECT n F", "SELECT count(*) F"),
                           *one_log.files], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=harness.PATIENCE) == -signal.SIGINT
        finally:
            process.kill()


def test_names_with_quotes(one_log, tmp_path):
    name = tmp_path / "it's \"one\".log"
    name.write_bytes(pathlib.Path(one_log.files[0]).read_bytes())
    wanted = one_log.truth["files"][0]["records"]
    for quote in "'\"":
        quoted = quote + str(name).replace(quote, 2 * quote) + quote
        assert rows(f"SELECT COUNT(*) AS n FROM {quoted}")["rows"] == [{"n": wanted}]
    assert rows("SELECT count(*) AS n FROM logs", str(name))["rows"] == [{"n": wanted}]


def test_rows_of_several_lines(tmp_path):
    """A line break in quotes is part of the field, and the next row has its own line."""
    (tmp_path / "tracking.log").write_text(
        "#Log-type: Message Tracking Log\r\n#Fields: date-time,internal-message-id,event-id,recipient-status\r\n"
        '2026-03-01T09:51:21.466Z,1,FAIL,"550 5.1.1 no,\r\n""such""\nuser"\r\n'
        "2026-03-01T09:51:22.466Z,2,FAIL,550 5.1.1 no\r\n")
    got = rows('SELECT line, "internal-message-id" AS id, "recipient-status" AS status FROM logs',
               str(tmp_path / "tracking.log"))
    assert got["rows"] == [{"line": 3, "id": "1", "status": '550 5.1.1 no,\r\n"such"\nuser'},
                           {"line": 6, "id": "2", "status": "550 5.1.1 no"}]
    assert "skipped" not in "\n".join(note for note in got["notes"] if not note.startswith("2 rows read, 0 lines skipped"))


def test_reads_again_and_again(protocol):
    """A join reads the files for each row: it is refused before it has taken hours."""
    why = run("SELECT count(*) FROM logs a, logs b WHERE a.code = b.code", *protocol.files, check=1)
    assert "MATERIALIZED" in why
    got = rows("WITH x AS MATERIALIZED (SELECT code FROM logs WHERE code = 452) "
               "SELECT count(*) AS n FROM x a, x b", *protocol.files)["rows"][0]["n"]
    assert got == rows("SELECT count(*) AS n FROM logs WHERE code = 452", *protocol.files)["rows"][0]["n"] ** 2


def test_which_files(tmp_path):
    assert "of which files" in run("SELECT 1 FROM logs", check=1)
    assert "no such file" in run("SELECT data FROM *.nothing", check=1)
    (tmp_path / "x").write_text("neither\nthis\n")
    assert "known format" in run(f"SELECT data FROM '{tmp_path}/x'", check=1)


def test_header_in_any_case(tmp_path):
    """The scanners of reports take it so, and `query` has the same columns."""
    (tmp_path / "x.log").write_text("#Log-type: Message Tracking Log\r\n#FIELDS:event-id,date-time,x\r\n"
                                    "DEFER,2026-03-01T00:00:00.000Z,7\r\n")
    got = rows(f"SELECT x FROM '{tmp_path}/x.log' WHERE [event-id] = 'DEFER'")["rows"]
    assert got == [{"x": "7"}]
