"""The file system of a file, and the refusal of network file systems and of lone mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from wix_asgi.errors import SettingsError, StorageUnavailable
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


@pytest.mark.parametrize("kind", ["ext4", "overlay", "9p", "virtiofs", "fuse.grpcfuse", "tmpfs"])
@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
async def test_file_that_is_mounted_alone(kind: str, ending: str, tmp_path: Path) -> None:
    """A file that is a mount of its own is refused without a file, and the directory is named."""
    room = tmp_path / "room"
    room.mkdir()
    listed = mount_list(tmp_path, mounts(f"{tmp_path} ext4", f"{room}/test.db{ending} {kind}"))
    with pytest.raises(SettingsError, match=rf"test\.db{ending} is mounted alone") as caught:
        await SQLiteStorage(room / "test.db", mounts=listed).open()

    assert str(caught.value).endswith(f": mount the directory {room} instead.")
    assert [] == list(room.iterdir())


async def test_link_to_a_file_that_is_mounted_alone(tmp_path: Path) -> None:
    """A link to it, or a directory that is a link, leads to the file that is mounted alone."""
    room = tmp_path / "my room"
    room.mkdir()
    (room / "test.db").touch(0o600)
    (tmp_path / "test.db").symlink_to(room / "test.db")
    (tmp_path / "link").symlink_to(room)
    listed = mount_list(tmp_path, mounts(rf"{tmp_path}/my\040room/test.db ext4"))

    for path in (tmp_path / "test.db", tmp_path / "link" / "test.db"):
        with pytest.raises(SettingsError, match=r"mount the directory .*my room instead"):
            await SQLiteStorage(path, mounts=listed).open()


@pytest.mark.parametrize("name", ["test.db2", "test", "test.db-wal2", "test.db//deleted", "other"])
async def test_other_files_may_be_mounted(name: str, tmp_path: Path) -> None:
    """Mounts of other files in the directory, and of the directory itself, refuse nothing."""
    entries = [f"{tmp_path} overlay", f"{tmp_path}/{name} ext4"]
    listed = mount_list(tmp_path, mounts(*entries))
    async with SQLiteStorage(tmp_path / "test.db", mounts=listed) as storage:
        await storage.put(record())

        assert await storage.get(APP, SITE) is not None


async def test_log_that_is_a_link(tmp_path: Path) -> None:
    """A log that would lead to another place is no log: SQLite does not follow it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "test.db-wal").symlink_to(elsewhere / "test.db-wal")
    with pytest.raises(StorageUnavailable):
        async with SQLiteStorage(tmp_path / "test.db"):
            pass

    assert [] == list(elsewhere.iterdir())


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
