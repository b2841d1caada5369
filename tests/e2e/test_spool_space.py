"""More room for the spool while the server runs: a file system that grows, a larger spool.size_max. Mail
that was refused is taken again by the same process, and all that was acknowledged arrives once."""
import json
import signal
import subprocess

import pytest

import harness
from harness import Raw, free_port, message, new_host, wait_until
from test_small_disk import BODY_BYTES, Load, wait_delivered

DISK_MIB = 64


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Ext4:
    """A file system in an image file, on a loop device."""

    def __init__(self, folder, mebibytes=DISK_MIB):
        self.image, self.folder = folder.with_suffix(".img"), folder
        folder.mkdir()
        self.resize_image(mebibytes)
        run("mkfs.ext4", "-q", "-F", "-m", "0", str(self.image))
        self.device = run("losetup", "--find", "--show", str(self.image))
        run("mount", self.device, str(folder))
        self.mounted = True

    def resize_image(self, mebibytes):
        with open(self.image, "ab") as file:
            file.truncate(mebibytes << 20)

    def grow(self, mebibytes):
        self.resize_image(mebibytes)
        run("losetup", "-c", self.device)
        run("resize2fs", self.device)

    def unmount(self, *how):
        if self.mounted:
            run("umount", *how, str(self.folder))
            run("losetup", "-d", self.device)
        self.mounted = False


class Tmpfs:
    """A file system that may grow where the kernel lets nobody resize an ext4 that is in use."""

    def __init__(self, folder, mebibytes=DISK_MIB):
        self.folder = folder
        folder.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "penstock-test", str(folder))
        self.mounted = True

    def grow(self, mebibytes):
        run("mount", "-o", f"remount,size={mebibytes}m", str(self.folder))

    def unmount(self, *how):
        if self.mounted:
            run("umount", *how, str(self.folder))
        self.mounted = False


@pytest.fixture
def make_disk(tmp_path):
    """make_disk(kind, name): a disk of its own, mounted."""
    disks = []

    def make(kind, name="disk", **options):
        try:
            disks.append(kind(tmp_path / name, **options))
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no disks can be mounted here: {getattr(error, 'stderr', error)}")
        return disks[-1]

    yield make
    for disk in disks:
        disk.unmount("-l")


@pytest.fixture
def make_relay(make_server):
    """make_relay(disk, **settings): a server whose spool is on `disk`; its smart host is down."""
    def make(disk, **settings):
        host = new_host()
        base = {"spool": {"directory": str(disk.folder / "spool"), "segment_size": None, "drain_reserve": None},
                "delivery": {"smart_host": f"{host}:{free_port(host)}"},
                "retry": {"initial_retry": "1h", "next_retry": "1h", "jitter": "0%"},
                "pressure": {"interval": "200ms", "dwell": "1s"}}
        return make_server(**harness.merge(base, settings))

    return make


@pytest.fixture
def come_up(make_remote):
    """come_up(server): the smart host listens from now on, and all mail is tried at once."""
    def begin(server):
        host, port = server.settings["delivery"]["smart_host"].rsplit(":", 1)
        remote = make_remote(host=host, port=int(port))
        server.tool("queue", "retry", "--all", check=0)
        return remote

    return begin


def drains_once(server, load, remote):
    """All that got 250 arrives, once, from the process that took it."""
    load.stop()
    server.tool("queue", "retry", "--all", check=0)
    wait_delivered(remote, load.accepted)
    server.wait_queue_length(0)


@pytest.mark.parametrize("kind", [Ext4, Tmpfs])
def test_a_disk_that_grows_is_noticed(make_disk, make_relay, come_up, kind):
    disk = make_disk(kind)
    server = make_relay(disk).start()
    pid = server.process.pid
    load = Load(server, sessions=8)
    load.wait_refused()
    at_refusal = len(load.accepted)
    assert at_refusal * BODY_BYTES > DISK_MIB * 2**20 // 3, "the disk was refused half empty"
    try:
        disk.grow(3 * DISK_MIB)
    except subprocess.CalledProcessError as error:
        load.stop()
        pytest.skip(f"this kernel lets nobody resize a mounted {kind.__name__}: {error.stderr.strip()}")
    load.wait_taken_again()
    wait_until(lambda: len(load.accepted) > 2 * at_refusal or load.wrong, "as much mail again")
    drains_once(server, load, come_up(server))
    assert server.process.pid == pid and server.is_alive()


def test_a_larger_size_max_needs_a_reload_only(tmp_path, make_server, come_up):
    host = new_host()
    server = make_server(spool={"size_max": "24MiB"}, delivery={"smart_host": f"{host}:{free_port(host)}"},
                         retry={"initial_retry": "1h", "next_retry": "1h", "jitter": "0%"},
                         pressure={"interval": "200ms", "dwell": "1s"}).start()
    load = Load(server, sessions=8)
    load.wait_refused()
    at_refusal = len(load.accepted)
    assert at_refusal * BODY_BYTES < 24 << 20
    server.write_config(spool={"size_max": "72MiB"})
    server.tool("config", "reload", check=0)
    load.wait_taken_again()
    wait_until(lambda: len(load.accepted) > 2 * at_refusal or load.wrong, "as much mail again")
    assert "config_needs_restart" not in server.log()
    drains_once(server, load, come_up(server))


def directories(server):
    """The spool's directories as `penstock pressure --json` tells them, by path."""
    view = json.loads(server.tool("pressure", "--json", check=0).stdout)
    return {one["path"]: one for one in view["spool"]["directories"]}


def test_a_disk_is_added_and_another_drained(make_disk, make_relay, come_up):
    """Full, one more disk, mail again; the first disk is emptied and unmounted: one process, no mail lost."""
    first, second = make_disk(Ext4, "first"), make_disk(Ext4, "second", mebibytes=3 * DISK_MIB)
    home, more, other = first.folder.parent / "home", first.folder / "mail", second.folder / "mail"
    for folder in (home, more, other):
        folder.mkdir()
    server = make_relay(first, spool={"directory": str(home), "more_directories": [str(more)],
                                      "drain_directory": True}).start()
    pid = server.process.pid
    load = Load(server, sessions=8)
    load.wait_refused()
    at_refusal = len(load.accepted)
    assert at_refusal * BODY_BYTES > DISK_MIB * 2**20 // 3, "the disk was refused half empty"

    server.write_config(spool={"more_directories": [str(more), str(other)]})
    server.tool("config", "reload", check=0)
    load.wait_taken_again()
    wait_until(lambda: len(load.accepted) > at_refusal * 3 // 2 or load.wrong, "half as much mail again")

    server.write_config(spool={"more_directories": [str(other)]})
    server.tool("config", "reload", check=0)
    assert directories(server)[str(more)]["state"] == "draining"
    server.wait_log(rf"spool_directory path={more} state=empty")
    assert list(directories(server)) == [str(home), str(other)]
    assert not list(more.iterdir())
    first.unmount()  # not lazily: nothing of it is open
    assert not list(home.glob("seg-*"))

    wait_until(lambda: len(load.accepted) > at_refusal * 7 // 4 or load.wrong, "mail after that")
    drains_once(server, load, come_up(server))
    assert server.process.pid == pid and server.is_alive()


def refused_reload(server, **spool):
    """A reload that changes nothing, and what it said."""
    before = server.settings["spool"]
    server.write_config(spool=spool)
    result = server.tool("config", "reload")
    assert result.returncode != 0
    server.write_config(spool={key: before.get(key) for key in spool})
    return result.stdout + result.stderr


def test_directories_that_cannot_be_used(make_server, remote, tmp_path):
    """A start or a reload names the directory that is not what it should be, and changes nothing."""
    more, other, mine = tmp_path / "more", tmp_path / "other", tmp_path / "mine"
    for folder in (more, other, mine):
        folder.mkdir()
    rest = {"delivery": {"smart_host": remote.address}}
    stranger = make_server("stranger", spool={"more_directories": [str(other)]}, **rest).start()
    server = make_server(spool={"more_directories": [str(more)], "drain_directory": True}, **rest).start()
    with Raw(server) as client:
        client.transaction(message("one"), recipients=[b"held@rcpt.test"])

    missing = tmp_path / "missing"
    assert str(missing) in refused_reload(server, more_directories=[str(more), str(missing)])
    assert str(other) in refused_reload(server, more_directories=[str(more), str(other)])
    assert "spool.more_directories" in refused_reload(server, more_directories=[])
    assert list(directories(server)) == [str(server.spool), str(more)]
    assert not list(mine.iterdir())
    stranger.stop()

    server.stop()
    hidden = more.rename(tmp_path / "hidden")  # its disk is not mounted: an empty folder is there
    more.mkdir()
    code, log = server.run_to_failure()
    assert code != 0 and str(more) in log and "mounted" in log
    assert not list(more.iterdir()), "something was written to the mount point"
    more.rmdir()
    hidden.rename(more)

    server.write_config(spool={"more_directories": [str(mine)]})
    code, log = server.run_to_failure()
    assert code != 0 and str(more) in log and "does not name it" in log
    server.write_config(spool={"more_directories": [str(mine), str(more)]})
    server.start()
    server.write_config(spool={"more_directories": [str(mine)]})
    server.signal(signal.SIGHUP)
    server.wait_log(rf"spool_directory path={more} state=empty")
    assert list(directories(server)) == [str(server.spool), str(mine)]
    server.stop()
