"""What else is large on a file system that is short: named to the operator (R13). Real mounts; root only."""
import json
import os
import subprocess

import pytest

import harness
from harness import wait_until
from test_pressure import resource, wait_level

MIB = 1024 * 1024


def fill(path, mib):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        if mib:
            os.posix_fallocate(file.fileno(), 0, mib * MIB)


@pytest.fixture
def crowded(small_disk, make_server):
    """A server whose spool shares a disk of 64 MiB with a backup, and what is no part of that disk."""
    disk = small_disk(64)
    outside = disk / "srv" / "mounted"
    outside.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(outside)], check=True)
    try:
        fill(disk / "srv" / "backup" / "old \x1b[31m.tar", 20)
        fill(disk / "srv" / "images" / "one", 3)
        fill(disk / "srv" / "images" / "two", 3)
        fill(disk / "srv" / "images" / "three", 3)
        fill(outside / "elsewhere", 24)
        (disk / "up").symlink_to("/")
        for number in range(300):
            fill(disk / "cache" / str(number), 0)
        server = make_server(spool={"directory": str(disk / "spool"), "segment_size": "1MiB",
                                    "drain_reserve": None},
                             pressure={"interval": "100ms", "dwell": "0"})
        server.disk = disk
        yield server.start()
        server.stop()
    finally:
        subprocess.run(["umount", str(outside)], check=True)


def press(server, name):
    """The resource gets thresholds that it is above, whatever it is."""
    server.write_config(pressure={name: {"medium_to_low": "0%", "low_to_medium": "1%", "high_to_medium": "99%",
                                         "medium_to_high": "100%"}})
    server.tool("config", "reload", check=0)
    wait_until(lambda: resource(server, name)["level"] != "normal", f"{name} off normal")


def others(server, *arguments):
    return json.loads(server.tool("pressure", "--json", *arguments, check=0).stdout)["spool"].get("others")


def advice(server):
    text = server.tool("pressure", check=0).stdout
    return text.partition("WHAT TO DO\n")[2].partition("\n\n")[0]


def test_the_advice_names_what_is_large(crowded):
    assert others(crowded) is None  # a disk that is not short costs no walk
    press(crowded, "spool_disk")
    backup, images = crowded.disk / "srv/backup/old \x1b[31m.tar", crowded.disk / "srv/images"
    found = others(crowded)
    assert found["below"] == str(crowded.disk) and found["cut_by"] == ""
    assert [(each["path"], each["folder"]) for each in found["largest"]] == [(str(backup), False), (str(images), True)]
    assert found["largest"][0]["bytes"] == pytest.approx(20 * MIB, rel=0.1)
    assert found["largest"][1]["bytes"] == pytest.approx(9 * MIB, rel=0.1)
    assert found["most_files"][0]["path"] == str(crowded.disk / "cache")
    told = " ".join(advice(crowded).split())
    assert f"Largest: {crowded.disk}/srv/backup/old ?[31m.tar 20 MiB, {images}/ 9.0 MiB." in told
    assert "elsewhere" not in told and "spool/" not in told


def test_for_inodes_it_counts_files(crowded):
    press(crowded, "spool_inodes")
    assert f"Most files: {crowded.disk}/cache/ 301 files" in " ".join(advice(crowded).split())


def test_it_can_be_asked_for(crowded):
    assert others(crowded, "--largest")["largest"]
    text = crowded.tool("pressure", "--largest", check=0).stdout
    assert "WHAT ELSE IS LARGE" in text and "old ?[31m.tar" in text
    assert "WHAT ELSE IS LARGE" not in crowded.tool("pressure", check=0).stdout


def test_logs_on_a_disk_of_their_own(small_disk, make_server):
    disk = small_disk(64)
    fill(disk / "dump", 30)
    server = make_server(log={"files": {"directory": str(disk / "logs")}},
                         pressure={"interval": "100ms", "dwell": "0"}).start()
    press(server, "log_disk")
    told = " ".join(advice(server).split())
    assert "log disk (advisory): free" in told
    assert f"Largest: {disk}/dump 30 MiB." in told
    shown = json.loads(server.tool("pressure", "--json", check=0).stdout)
    assert shown["log"]["others"]["below"] == str(disk) and "others" not in shown["spool"]
    server.stop()
