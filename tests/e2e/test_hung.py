"""Commands against a server that hangs: they end, and say what they waited for and what to do."""
import concurrent.futures
import contextlib
import re
import signal
import socket

from harness import run_tool, wait_until


@contextlib.contextmanager
def stopped(server):
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


COMMANDS = [["pressure"], ["pressure", "--watch"], ["metrics"], ["queue", "list"]]


def test_a_stopped_server(server):
    with stopped(server), concurrent.futures.ThreadPoolExecutor(len(COMMANDS)) as pool:
        results = list(pool.map(lambda command: server.tool(*command, check=1, seconds=60), COMMANDS))
    pid = server.process.pid
    for command, result in zip(COMMANDS, results):
        assert re.fullmatch(rf"penstock {command[0]}( list)?: the server on {re.escape(str(server.socket))} took the "
                            rf"question GET /\S+ and gave no answer for 10 s: its process {pid} is stopped; "
                            rf"'kill -CONT {pid}' lets it go on\n", result.stderr), result.stderr
    server.tool("pressure", check=0)


def test_a_stopped_server_whose_queue_is_full(server):
    with contextlib.ExitStack() as stack, stopped(server):
        def is_full():
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            try:
                client.connect(str(server.socket))
            except BlockingIOError:
                return True
            return False

        wait_until(is_full, "a full queue of connections")
        stderr = server.tool("pressure", check=1, seconds=60).stderr
        assert f"the server on {server.socket} takes no more connections" in stderr
    wait_until(lambda: server.tool("pressure").returncode == 0, "it answers again")


def test_a_broken_file_and_the_socket(server):
    """Who must know why mail is refused does not want to hear of a mistake in a file."""
    server.file.write_text("server: {hostname: [}", encoding="utf-8")
    stderr = server.tool("pressure", check=1).stderr
    assert f"{server.file}:1:" in stderr and "--socket PATH" in stderr
    assert "Level" in server.tool("pressure", "--socket", server.socket, check=0).stdout
    server.write_config()


def test_no_server_there(tmp_path):
    stderr = run_tool("metrics", "--socket", tmp_path / "none", check=1).stderr
    assert f"no server answers on {tmp_path / 'none'}" in stderr
