"""The type of a file's file system, and the refusal of network file systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from wix_asgi.errors import SettingsError
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends._mounts import type_in
from wix_asgi_backends.sqlite import SQLiteStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


def mounts(*entries: str) -> bytes:
    """Return a list of mounts as Linux gives it, from "point type" and the root's ext4."""
    lines = ["27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard"]
    for number, entry in enumerate(entries, 28):
        point, kind = entry.split(" ")
        lines.append(f"{number} 27 0:{number} / {point} rw - {kind} source rw,vers=4.2")
    return "\n".join([*lines, ""]).encode()


CASES = [
    ("/data/db", [], "ext4"),
    ("/data/db", ["/data nfs4"], "nfs4"),
    ("/data/db", ["/data nfs4", "/data/db ext4"], "ext4"),
    ("/data/deep/db", ["/data/deep cifs", "/data ext4"], "cifs"),
    ("/database/db", ["/data nfs4"], "ext4"),
    ("/data/db", ["/data autofs", "/data nfs"], "nfs"),
    ("/data/db", ["/data nfs", "/data tmpfs"], "tmpfs"),
    ("/my data/db", [r"/my\040data nfs"], "nfs"),
    ("/tab\tdata/db", [r"/tab\011data nfs"], "nfs"),
    ("/line\ndata/db", [r"/line\012data nfs"], "nfs"),
    ("/back\\040data/db", [r"/back\134040data nfs"], "nfs"),
    ("/\u00e9/db", ["/\u00e9 nfs"], "nfs"),
    ("/data/db", ["/data fuse.sshfs"], "fuse.sshfs"),
    ("/data - x/db", [r"/data\040-\040x nfs"], "nfs"),
    ("/data/db", ["/data//deleted nfs"], "ext4"),
]


@pytest.mark.parametrize(("path", "entries", "kind"), CASES)
def test_type(path: str, entries: list[str], kind: str) -> None:
    """The longest mount point that holds the file says its type, and of two the later one."""
    assert kind == type_in(mounts(*entries), path)


@pytest.mark.parametrize("text", [b"", b"\n", b"nfs\n", b"1 2 3:4 / /data rw nfs source rw\n"])
def test_no_type(text: bytes) -> None:
    """A list that has no entry of this form says nothing."""
    assert type_in(text, "/data/db") is None


def mount_list(room: Path, text: bytes) -> Path:
    """Return a file that stands in for the machine's list of mounts."""
    listed = room / "mountinfo"
    listed.write_bytes(text)
    return listed


NETWORKS = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ceph",
    "lustre",
    "gpfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.gcsfuse",
    "fuse.rclone",
]


@pytest.mark.parametrize("kind", NETWORKS)
async def test_network_is_refused(kind: str, tmp_path: Path) -> None:
    """On a network file system the start stops without a file, and the message says the remedy."""
    room = tmp_path / "room"
    room.mkdir()
    listed = mount_list(tmp_path, mounts(f"{room} {kind}"))
    with pytest.raises(
        SettingsError,
        match=rf"a network file system \({kind}\).*: put it on a local disk, or use Postgres\.$",
    ):
        await SQLiteStorage(room / "test.db", mounts=listed).open()

    assert [] == list(room.iterdir())


async def test_link_to_a_network_is_refused(tmp_path: Path) -> None:
    """A link on a local disk to a file on a network is refused, as SQLite would follow it."""
    room = tmp_path / "room"
    room.mkdir()
    (room / "test.db").touch(0o600)
    (tmp_path / "test.db").symlink_to(room / "test.db")
    listed = mount_list(tmp_path, mounts(f"{room} nfs4"))

    with pytest.raises(SettingsError, match="nfs4"):
        await SQLiteStorage(tmp_path / "test.db", mounts=listed).open()


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "tmpfs", "overlay", "9p", "virtiofs", "fuse", "fuse.fuse-overlayfs"]
)
async def test_local_file_systems_are_fine(kind: str, tmp_path: Path) -> None:
    """Local file systems, and those of containers and virtual machines, are used as they are."""
    listed = mount_list(tmp_path, mounts("/ nfs", f"{tmp_path} {kind}"))
    async with SQLiteStorage(tmp_path / "test.db", mounts=listed) as storage:
        await storage.put(record())

        assert await storage.get(APP, SITE) is not None


async def test_without_a_list(tmp_path: Path) -> None:
    """If no list of mounts can be read, as on other systems, nothing is refused."""
    async with SQLiteStorage(tmp_path / "test.db", mounts=tmp_path / "missing") as storage:
        await storage.put(record())

        assert await storage.get(APP, SITE) is not None


async def test_asked_once(tmp_path: Path) -> None:
    """The mounts are read when a storage is opened, and for no statement."""
    listed = mount_list(tmp_path, mounts())
    async with SQLiteStorage(tmp_path / "test.db", mounts=listed) as storage:
        mount_list(tmp_path, mounts(f"{tmp_path} nfs"))
        await storage.put(record())

        assert await storage.get(APP, SITE) is not None
