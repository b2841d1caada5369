"""Runs the real penstock binary against a world on loopback.

PENSTOCK_BIN names the binary (build/penstock by default), PENSTOCK_E2E_NETWORK the first three bytes
of the loopback addresses this run may bind, so that two runs side by side never meet.

No test waits for a fixed time: wait_until() polls a condition until a deadline.
"""
import contextlib
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = pathlib.Path(os.environ.get("PENSTOCK_BIN", ROOT / "build" / "penstock")).absolute()
NETWORK = os.environ.get("PENSTOCK_E2E_NETWORK", "127.77.0")
HOST = NETWORK + ".1"
SANITIZED = any(name in str(BINARY) for name in ("asan", "tsan"))
PATIENCE = 180.0 if SANITIZED else 90.0  # seconds a condition may take on a busy machine: only a failure takes them
STOP_SECONDS = 10.0 if not SANITIZED else 60.0  # what SIGTERM is promised to take; sanitizers look for leaks at the end

# What a sanitizer or a failed assertion leaves in stderr.
ALARM = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|assertion|ASSERT|"
                   r"stack smashing|internal_error", re.IGNORECASE)

_addresses = itertools.count(2)


def new_host():
    """An address of its own for each peer: two never meet on a port."""
    number = next(_addresses)
    first, second, third = NETWORK.split(".")
    return f"{first}.{second}.{int(third) + number // 250 * 10}.{number % 250 + 2}"


def free_port(host=HOST, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=None):
    """Polls until condition() is true, and returns what it returned."""
    deadline = time.monotonic() + (seconds or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds or PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.01)


def merge(base, extra):
    """A deep copy of `base` with `extra` laid over it; None removes a key."""
    result = dict(base)
    for key, value in extra.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def run_tool(*arguments, stdin=None, check=None, seconds=120, env=None, binary=BINARY, cwd=None):
    """Runs `penstock ARGUMENTS`; check: the exit code to insist on."""
    result = subprocess.run([str(binary), *map(str, arguments)], input=stdin, capture_output=True,
                            text=not isinstance(stdin, bytes), timeout=seconds, check=False, cwd=cwd,
                            env={**os.environ, **(env or {})})
    shown = f"penstock {' '.join(map(str, arguments))}\n{result.stdout}\n{result.stderr}"
    stderr = result.stderr if isinstance(result.stderr, str) else result.stderr.decode(errors="replace")
    assert not re.search(r"Sanitizer|runtime error:", stderr), shown
    assert result.returncode >= 0, f"killed by signal {-result.returncode}: {shown}"
    if check is not None:
        assert result.returncode == check, f"exit code {result.returncode}, not {check}: {shown}"
    return result


def parse_listing(text):
    """Items of a JSON answer: one object with "items", an array, or an object a line."""
    try:
        whole = json.loads(text or "[]")
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(whole, dict):
        return whole.get("items", [whole])
    return whole


class Server:
    """One `penstock serve`, with its configuration and spool in `folder`."""

    def __init__(self, folder, **settings):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.address = f"{HOST}:{self.port}"
        self.spool = self.folder / "spool"
        self.socket = self.folder / "control.sock"
        self.file = self.folder / "penstock.yaml"
        self.log_file = self.folder / "penstock.log"
        self.process = None
        self.verify_at_stop = True
        self.settings = merge({
            "server": {"hostname": "relay.test", "control_socket": str(self.socket)},
            "listeners": [{"name": "main", "address": self.address}],
            "relay": {"networks": ["127.0.0.0/8", "::1/128"]},
            "spool": {"directory": str(self.spool), "segment_size": "1MiB", "drain_reserve": "4MiB"},
            "log": {"level": "debug"},
            # A machine that is busy with something else must not pause what a test waits for.
            "pressure": {name: {"observe_only": True} for name in ("cpu_stall", "memory_stall", "io_stall")},
        }, settings)
        self.write_config()

    def write_config(self, **settings):
        """JSON is YAML too. In one step: a reload that is under way must not see half of it."""
        self.settings = merge(self.settings, settings)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps(self.settings, indent=1), encoding="utf-8")
        fresh.replace(self.file)

    # ---- life ----

    def spawn(self, wrapper=(), env=None):
        """Starts it and does not wait."""
        self.log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, str(BINARY), "serve", "-c", str(self.file)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd=self.folder, env={**os.environ, **(env or {})})
        return self

    def start(self, **spawn):
        self.spawn(**spawn)
        wait_until(lambda: self.is_ready() or self.process.poll() is not None, "ready")
        assert self.process.poll() is None, f"it ended at start:\n{self.log()}"
        return self

    def is_ready(self):
        return re.search(r"^ready\b", self.log(), re.MULTILINE) is not None

    def run_to_failure(self, seconds=PATIENCE):
        """For a start that must fail: the exit code and what it said."""
        self.spawn()
        try:
            code = self.process.wait(seconds)
        finally:
            self.kill()
        self.process = None
        return code, self.log()

    def stop(self):
        """SIGTERM, and the promise that it ends well and soon."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"SIGTERM took more than {STOP_SECONDS} s:\n{self.log()[-4000:]}") from None
        alarm = ALARM.search(self.log())
        assert not alarm, f"alarm in the log:\n{self.log()[max(0, alarm.start() - 500):][:6000]}"
        assert code == 0, f"exit code {code}:\n{self.log()[-4000:]}"
        if self.verify_at_stop:
            run_tool("spool", "verify", "-c", self.file, check=0)

    def kill(self):
        """SIGKILL: the power cut of a process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def signal(self, number):
        self.process.send_signal(number)

    # ---- looking at it ----

    def log(self):
        """What it wrote since it was started last."""
        if not self.log_file.exists():
            return ""
        with open(self.log_file, "rb") as log:
            log.seek(getattr(self, "log_start", 0))
            return log.read().decode("utf-8", "replace")

    def wait_log(self, pattern, seconds=None):
        return wait_until(lambda: re.search(pattern, self.log()), f"{pattern!r} in the log", seconds)

    def tool(self, *arguments, **options):
        """A subcommand that talks to this server or its spool."""
        return run_tool(*arguments, "-c", self.file, **options)

    def queue(self, *arguments):
        """The queue as `penstock queue list --json` tells it."""
        result = self.tool("queue", "list", "--json", *arguments, check=0)
        return parse_listing(result.stdout)

    def wait_queue_length(self, length, seconds=None):
        return wait_until(lambda: len(self.queue()) == length or None,
                          f"{length} messages in the queue", seconds)

    def memory_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def is_alive(self):
        return self.process is not None and self.process.poll() is None


class Raw:
    """A client that says exactly what it is told, and reads whole replies."""

    def __init__(self, server, host=None, port=None, greet=True, helo=True):
        self.socket = socket.create_connection((host or HOST, port or server.port), PATIENCE)
        self.socket.settimeout(PATIENCE)
        self.buffer = b""
        if greet:
            assert self.reply().startswith(b"220")
        if greet and helo:
            assert self.ask(b"EHLO client.test\r\n").startswith(b"250")

    def send(self, data):
        self.socket.sendall(data)

    def _line(self):
        while b"\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def reply(self):
        """One reply, all its lines; b"" when the server closed."""
        text = b""
        try:
            while True:
                line = self._line()
                text += line
                assert re.match(rb"^[2-5][0-9]{2}[ -]?[^\r\n]*\r\n$", line), f"not a reply line: {line!r}"
                if line[3:4] != b"-":
                    return text
        except (EOFError, ConnectionResetError):
            return text

    def ask(self, data):
        self.send(data)
        return self.reply()

    def code(self, data=b""):
        """The code of the reply to `data`; 0 when it closed."""
        if data:
            try:
                self.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
        text = self.reply()
        return int(text[:3]) if text else 0

    def enhanced(self, data):
        """("550", "5.7.1") of the reply to `data`."""
        match = re.match(rb"([2-5][0-9]{2})[ -]([245]\.[0-9]{1,3}\.[0-9]{1,3}) ", self.ask(data))
        assert match, "no enhanced status code"
        return match.group(1).decode(), match.group(2).decode()

    def transaction(self, body, sender=b"a@sender.test", recipients=(b"b@rcpt.test",)):
        """A whole mail; the code of the reply to its end."""
        assert self.code(b"MAIL FROM:<" + sender + b">\r\n") == 250
        for recipient in recipients:
            assert self.code(b"RCPT TO:<" + recipient + b">\r\n") == 250
        assert self.code(b"DATA\r\n") == 354
        return self.code(body + b"\r\n.\r\n")

    def closed(self):
        """True once the server closed; what it says before is dropped."""
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def background(arguments, log=None, **options):
    """A program that runs beside the test and ends with it."""
    output = open(log, "wb") if log else subprocess.DEVNULL
    process = subprocess.Popen(list(map(str, arguments)), stdin=subprocess.DEVNULL, stdout=output,
                               stderr=output, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if log:
            output.close()


def is_listening(host, port):
    try:
        with socket.create_connection((host, port), 1):
            return True
    except OSError:
        return False


def message(text="hello", **headers):
    """A small RFC 5322 message, CRLF line ends."""
    fields = {"From": "a@sender.test", "To": "b@rcpt.test", "Subject": "test", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return (head + "\r\n" + text).encode()
