"""Configuration: what is wrong is told with its place, and nothing starts with it."""
import json
import re

import pytest

from harness import ROOT, Raw, run_tool


@pytest.fixture
def check(tmp_path):
    def run(text, *arguments):
        file = tmp_path / "penstock.yaml"
        file.write_text(text, encoding="utf-8")
        return run_tool("config", "check", "-c", file, *arguments)

    return run


def test_the_defaults_are_right():
    run_tool("config", "check", check=0)


@pytest.mark.parametrize("text, line, column, words", [
    ("smtp:\n  recipients_maxx: 5\n", 2, 3, ["recipients_maxx", "recipients_max"]),
    ("smpt:\n  recipients_max: 5\n", 1, 1, ["smpt", "smtp"]),
    ("smtp:\n  recipients_max: many\n", 2, 19, ["many", "recipients_max"]),
    ("smtp:\n  recipients_max: -1\n", 2, 19, ["-1", "recipients_max"]),
    ("smtp:\n  recipients_max: 99999999999999999999999\n", 2, 19, ["99999999999999999999999"]),
    ("smtp:\n  recipients_max: [1, 2]\n", 2, None, ["recipients_max"]),
    ("smtp: 5\n", 1, None, ["smtp"]),
    ("smtp:\n  time_outs:\n    command: 5 parsecs\n", 3, 14, ["parsecs"]),
    ("relay:\n  networks: [10.0.0.0/33]\n", 2, 14, ["10.0.0.0/33"]),
    ("relay:\n  networks: [nonsense]\n", 2, 14, ["nonsense"]),
    ("listeners:\n  - name: a\n    address: 127.0.0.1:99999\n", 3, 14, ["99999"]),
    ("smtp:\n  recipients_max: 5\n  recipients_max: 6\n", None, None, ["recipients_max"]),
    ("smtp: [\n", None, None, []),
    ("smtp:\n\trecipients_max: 5\n", None, None, []),
    ("retry:\n  jitter: 80%\n", 2, 11, ["80%"]),
    ("delivery:\n  smart_host: 'not a host!'\n", 2, None, ["not a host!"]),
    ("include: [nowhere.yaml]\n", None, None, ["nowhere.yaml"]),
], ids=lambda value: value.strip()[:40].replace("\n", " ") if isinstance(value, str) else "")
def test_what_is_wrong_and_where(check, text, line, column, words):
    result = check(text)
    assert result.returncode == 1
    place = re.search(r"penstock\.yaml:(\d+):(\d+):", result.stderr)
    if line is not None:
        assert place, result.stderr
        assert int(place.group(1)) == line, result.stderr
    if column is not None:
        assert int(place.group(2)) == column, result.stderr
    assert all(word in result.stderr for word in words), result.stderr


def test_every_error_is_told_at_once(check):
    result = check("smtp:\n  recipients_maxx: 5\n  errors_max: many\nnonsense: 1\n")
    assert len(re.findall(r"penstock\.yaml:\d+:\d+:", result.stderr)) >= 3


@pytest.mark.parametrize("text", ["", "\n", "---\n", "# nothing\n\n# more\n", "null\n", "~"])
def test_a_file_without_settings_is_refused(check, text):
    result = check(text)
    assert result.returncode == 1
    assert re.search(r"/penstock\.yaml: there is no setting in this file.*\{\}", result.stderr), result.stderr


@pytest.mark.parametrize("text", ["{}\n", "--- {}\n", "# nothing\n{}\n", "include: empty.yaml\n"])
def test_a_file_that_says_so_is_the_defaults(check, tmp_path, text):
    (tmp_path / "empty.yaml").write_text("# nothing yet\n", encoding="utf-8")
    assert check(text).returncode == 0


def test_a_file_that_was_cut_changes_nothing_at_a_reload(make_server):
    server = make_server(smtp={"recipients_max": 7}).start()
    for text in ("", "# the head of a file\n"):
        server.file.write_text(text, encoding="utf-8")
        refused = run_tool("config", "reload", "--socket", server.socket, check=1)
        assert "there is no setting in this file" in refused.stderr
    with Raw(server, helo=False) as raw:
        assert b"RCPTMAX=7" in raw.ask(b"EHLO again.test\r\n")
    assert "config_reloaded" not in server.log()
    server.write_config()


@pytest.mark.parametrize("text", ["\0", "\x7f\x7f", "a: &a [*a]\n", "a: &x {b: *x}\n", "- 1\n", "just words\n",
                                  "&" * 10000, "[" * 10000, "{a: " * 5000, "!!binary x: y\n", "? \n: \n", "%YAML 9.9\n---\n"],
                         ids=lambda text: repr(text[:10]))
def test_hostile_files(check, text):
    assert check(text).returncode == 1


def test_show_tells_the_origin(tmp_path):
    file = tmp_path / "penstock.yaml"
    file.write_text("# one\nsmtp:\n  recipients_max: 77\n", encoding="utf-8")
    text = run_tool("config", "show", "-c", file, check=0).stdout
    line = next(each for each in text.splitlines() if "recipients_max" in each)
    assert "77" in line and "penstock.yaml:3" in line
    assert any("default" in each for each in text.splitlines() if "errors_max" in each)
    assert json.loads(run_tool("config", "show", "-c", file, "--json", check=0).stdout)


def test_include(tmp_path):
    (tmp_path / "part.yaml").write_text("smtp:\n  recipients_max: 55\n", encoding="utf-8")
    file = tmp_path / "penstock.yaml"
    file.write_text("include: [part.yaml]\n", encoding="utf-8")
    line = next(each for each in run_tool("config", "show", "-c", file, check=0).stdout.splitlines()
                if "recipients_max" in each)
    assert "55" in line and "part.yaml:2" in line


def test_include_of_itself(tmp_path):
    file = tmp_path / "penstock.yaml"
    file.write_text("include: [penstock.yaml]\n", encoding="utf-8")
    assert run_tool("config", "check", "-c", file).returncode == 1


def test_missing_and_unreadable_file(tmp_path):
    result = run_tool("config", "check", "-c", tmp_path / "none.yaml")
    assert result.returncode == 1 and "none.yaml" in result.stderr
    result = run_tool("config", "check", "-c", tmp_path)
    assert result.returncode == 1 and str(tmp_path) in result.stderr


def test_serve_does_not_start_with_a_wrong_configuration(make_server):
    server = make_server(smtp={"recipients_maxx": 5})
    code, said = server.run_to_failure()
    assert code == 1 and "recipients_maxx" in said and "recipients_max" in said


def test_the_generated_documentation_is_current():
    text = run_tool("config", "doc", check=0).stdout
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == text
