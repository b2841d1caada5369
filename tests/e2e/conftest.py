"""Fixtures: what a test starts, it need not stop."""
import os
import shutil
import signal
import subprocess

import pytest

import harness
from nameserver import Nameserver, Nsd
from remote import Remote
from terminal import Terminal


# What a shell starts behind a '&' ignores Ctrl-C, and all that it starts would.
signal.signal(signal.SIGINT, signal.default_int_handler)

FAILED = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.stash[FAILED] = True


@pytest.fixture
def tmp_path(tmp_path, request):
    """As pytest's, but the folder of a test that passed goes with it: their spools are 25 GB a run."""
    yield tmp_path
    if FAILED not in request.node.stash:
        shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def make_server(tmp_path):
    """make_server(**settings): a Server that is stopped, and judged, at the end of the test."""
    servers = []

    def make(name="penstock", **settings):
        server = harness.Server(tmp_path / name, **settings)
        servers.append(server)
        return server

    yield make
    failures = []
    for server in servers:
        try:
            server.stop()
        except AssertionError as failure:
            failures.append(str(failure))
        finally:
            server.kill()
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


@pytest.fixture
def make_remote():
    remotes = []

    def make(**options):
        remotes.append(Remote(**options))
        return remotes[-1]

    yield make
    for remote in remotes:
        remote.close()


@pytest.fixture
def remote(make_remote):
    return make_remote()


@pytest.fixture
def server(make_server, remote):
    """A running server whose smart host is `remote`."""
    return make_server(delivery={"smart_host": remote.address}).start()


@pytest.fixture
def busy_server(make_server, remote):
    """busy_server(**settings): a running server that takes 20,000 connections and logs little."""
    def make(**settings):
        base = {"delivery": {"smart_host": remote.address}, "log": {"level": "warning"},
                "smtp": {"connections_max": 20000}}
        return make_server(**harness.merge(base, settings)).start()

    return make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """(certificate, key) of mx.remote.test, self-signed."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
                    certificate, "-days", "2", "-subj", "/CN=mx.remote.test",
                    "-addext", "subjectAltName=DNS:mx.remote.test"], check=True, capture_output=True)
    return certificate, key


def find_program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@pytest.fixture
def program():
    """program(NAME): its path, or the test is skipped with the reason."""
    def find(name):
        path = find_program(name)
        if not path:
            pytest.skip(f"{name} is not installed")
        return path

    return find


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(MIB): the mount point of an ext4 file system of its own. Its image is sparse: what is set aside on
    it and not written takes nothing of the disk below."""
    mounted = []

    def make(mebibytes):
        if os.geteuid() != 0:
            pytest.skip("mounting a small disk needs root")
        image, folder = tmp_path / "disk.img", tmp_path / "disk"
        folder.mkdir()
        with open(image, "wb") as file:
            file.truncate(mebibytes << 20)
        for command in (["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(image)],
                        ["mount", "-o", "loop", str(image), str(folder)]):
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                pytest.skip(f"no loop mounts here: {result.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.fixture
def make_nameserver():
    servers = []

    def make(*arguments, **options):
        servers.append(Nameserver(*arguments, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def make_nsd(program, tmp_path):
    servers = []

    def make(zone):
        servers.append(Nsd(program("nsd"), tmp_path / "nsd", zone))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def terminal():
    opened = []

    def make(*arguments, **options):
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield make
    for each in opened:
        each.close()
