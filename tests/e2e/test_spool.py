"""The spool on bad days: a folder that cannot be written, a full disk, damage, power cuts."""
import fcntl
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess

import pytest

import harness
from harness import Raw, free_port, message, new_host, run_tool, wait_until
from test_deliver import send


def refused_host():
    host = new_host()
    return f"{host}:{free_port(host)}"


@pytest.fixture
def down(make_server):
    """down(**settings): a server whose smart host is down: all mail stays."""
    def make(**settings):
        base = {"delivery": {"smart_host": refused_host()}, "retry": {"initial_retry": "1h", "jitter": "0%"}}
        return make_server(**harness.merge(base, settings))

    return make


def sequence_numbers(server, remote):
    return sorted(int(mail.header("X-Seq")) for mail in remote.mails)


# ---- cannot be opened ----

def test_spool_folder_cannot_be_made(down, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    server = down(spool={"directory": str(blocker / "spool")})
    server.verify_at_stop = False
    code, said = server.run_to_failure()
    assert code == 1 and str(blocker) in said


def test_spool_folder_unwritable(down, tmp_path):
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("needs setpriv to stop being root")
    folder = tmp_path / "readonly"
    folder.mkdir(mode=0o555)
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.stat().st_uid == os.geteuid() and parent != pathlib.Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    server = down(spool={"directory": str(folder)})
    server.verify_at_stop = False
    server.folder.chmod(0o777)
    server.file.chmod(0o644)
    wrapper = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else ()
    server.spawn(wrapper=wrapper)
    code = server.process.wait(20)
    server.process = None
    assert code == 1 and str(folder) in server.log() and "ermission" in server.log()


# ---- a small disk ----

def test_full_disk_refuses_with_452_loses_nothing_and_drains(down, small_disk, make_remote):
    disk = small_disk(64)
    server = down(spool={"directory": str(disk / "spool"), "drain_reserve": "4MiB"}).start()
    accepted = 0
    body = message("\r\n".join(["x" * 900] * 220), X_Seq="%d")  # about 200 KB
    with Raw(server) as client:
        for _ in range(1000):
            code = client.code(b"MAIL FROM:<a@sender.test> SIZE=200000\r\n")
            if code == 250:
                assert client.code(b"RCPT TO:<b@rcpt.test>\r\n") == 250
                code = client.code(b"DATA\r\n")
                if code == 354:
                    code = client.code(body.replace(b"%d", b"%d" % accepted) + b"\r\n.\r\n")
            if code != 250:
                break
            accepted += 1
        assert code == 452
        assert accepted > 50
        client.code(b"RSET\r\n")
        refused = client.enhanced(b"MAIL FROM:<a@sender.test> SIZE=50000000\r\n")
        assert refused == ("452", "4.3.1")
    # Now the disk is filled from outside to the last byte, and the far side comes back.
    filler = disk / "filler"
    with open(filler, "wb") as file:
        try:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        except OSError:
            pass
    host, port = server.settings["delivery"]["smart_host"].rsplit(":", 1)
    remote = make_remote(host=host, port=int(port))
    server.tool("queue", "retry", "--all", check=0)
    wait_until(lambda: len(remote.mails) >= accepted, f"all {accepted} on a full disk", 120)
    server.wait_queue_length(0)
    assert sequence_numbers(server, remote) == list(range(accepted))
    filler.unlink()
    wait_until(lambda: _takes_mail(server), "mail to be taken again")
    server.stop()


def _takes_mail(server):
    with Raw(server) as client:
        return client.code(b"MAIL FROM:<a@sender.test> SIZE=1000\r\n") == 250


def test_disk_full_at_start(down, small_disk):
    disk = small_disk(16)
    with open(disk / "filler", "wb") as file:
        try:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        except OSError:
            pass
    server = down(spool={"directory": str(disk / "spool")})
    server.verify_at_stop = False
    server.spawn()
    wait_until(lambda: server.is_ready() or server.process.poll() is not None, "an end or ready")
    if server.process.poll() is None:  # serving: then it must say 452
        with Raw(server) as client:
            assert client.code(b"MAIL FROM:<a@sender.test>\r\n") == 452
    else:
        assert server.process.returncode == 1 and "space" in server.log()
        server.process = None


def test_power_cut(down, small_disk, make_remote):
    """The server is killed, then the file system forgets what was not synced (EXT4_IOC_SHUTDOWN)."""
    disk = small_disk(128)
    server = down(spool={"directory": str(disk / "spool")}).start()
    send(server, 200)
    server.kill()
    ext4_ioc_shutdown, no_log_flush = 0x8004587D, 2
    handle = os.open(disk, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, ext4_ioc_shutdown, struct.pack("I", no_log_flush))
    except OSError as error:
        pytest.skip(f"no shutdown ioctl here: {error}")
    finally:
        os.close(handle)
    subprocess.run(["umount", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk.parent / "disk.img"), str(disk)], check=True)
    server.start()
    assert len(server.queue()) == 200
    host, port = server.settings["delivery"]["smart_host"].rsplit(":", 1)
    remote = make_remote(host=host, port=int(port))
    server.tool("queue", "retry", "--all", check=0)
    remote.wait_mails(200)
    server.stop()


# ---- damage ----

def fill_and_stop(server, count=20):
    server.start()
    send(server, count)
    server.wait_queue_length(count)
    server.stop()


def spool_files(server):
    return sorted(path for path in server.spool.rglob("*") if path.is_file() and path.stat().st_size)


@pytest.mark.parametrize("seed", range(12))
def test_damage_in_any_byte(down, seed):
    """One byte is wrong: at most one message (or the checkpoint) is set aside, the rest is served."""
    server = down()
    server.verify_at_stop = False
    fill_and_stop(server)
    chance = random.Random(seed)
    files = spool_files(server)
    victim = files[seed % len(files)]
    data = bytearray(victim.read_bytes())
    used = len(bytes(data).rstrip(b"\0")) or len(data)
    at = chance.randrange(used)
    data[at] ^= chance.randrange(1, 256)
    victim.write_bytes(data)
    server.start()
    left = len(server.queue())
    if left < 20:
        assert re.search("spool_damage|spool_note|spool_error", server.log()), "lost without a word"
    assert left >= 19, f"{20 - left} messages lost by byte {at} of {victim.name}"
    send(server, 1)
    server.wait_queue_length(left + 1)


def test_verify_reports_damage_with_file_and_offset(down):
    server = down()
    server.verify_at_stop = False
    fill_and_stop(server)
    victim = max(spool_files(server), key=lambda path: path.read_bytes().count(b"Subject: test"))
    data = bytearray(victim.read_bytes())
    data[data.index(b"Subject: test") + 3] ^= 0xFF
    victim.write_bytes(data)
    result = server.tool("spool", "verify")
    assert result.returncode == 1 and victim.name in result.stdout + result.stderr


def test_truncated_and_emptied_files(down):
    """The files of a spool cut to nothing, one after another: an error or less mail, never a crash."""
    server = down()
    server.verify_at_stop = False
    fill_and_stop(server)
    copy = server.folder / "copy"
    shutil.copytree(server.spool, copy)
    for number in range(len(spool_files(server))):
        for keep in (0.0, 0.5):
            shutil.rmtree(server.spool)
            shutil.copytree(copy, server.spool)
            victim = spool_files(server)[number]
            with open(victim, "r+b") as file:
                file.truncate(int(victim.stat().st_size * keep))
            run_tool("spool", "verify", "-c", server.file)
            server.spawn()
            wait_until(lambda: server.is_ready() or server.process.poll() is not None, "an end or ready")
            if server.process.poll() is None:
                server.stop()
            else:
                assert server.process.returncode == 1
                server.process = None


def test_foreign_files_in_the_spool_folder(down):
    server = down()
    fill_and_stop(server)
    (server.spool / "README").write_text("a note of the operator")
    (server.spool / "core").write_bytes(os.urandom(5000))
    server.start()
    assert len(server.queue()) == 20
    server.stop()
    assert (server.spool / "README").exists()


def test_restart_many_times_keeps_everything(down, make_remote):
    server = down()
    for number in range(6):
        server.start()
        assert len(server.queue()) == number * 5
        send(server, 5)
        server.stop() if number % 2 else server.kill()
    server.start()
    host, port = server.settings["delivery"]["smart_host"].rsplit(":", 1)
    remote = make_remote(host=host, port=int(port))
    server.tool("queue", "retry", "--all", check=0)
    remote.wait_mails(30)
