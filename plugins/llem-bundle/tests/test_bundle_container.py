"""A bundle's bytes: the same for the same files, and none of them can be another unseen."""

from __future__ import annotations

import hashlib
import io
import random
import resource
import signal
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from llem_bundle.container import DIRECTORY, BundleError, Content, Packing, measured, unpack
from llem_bundle.listing import LISTING, Listed, listing
from llem_bundle.verifying import unpacked
from llem_bundle.zip_layout import Entry, archive_size, directory_record, end_records, local_header

pytestmark = pytest.mark.unit

FILES = {"a.txt": b"one\n", "empty": b"", "experiments/1/result.json": b'{"energy_j": 12.5}\n' * 3}


def packed(files: Mapping[str, bytes] = FILES) -> bytes:
    out = BytesIO()
    Packing([measured(Content(name, lambda data=data: BytesIO(data))) for name, data in files.items()]).write(out)
    return out.getvalue()


def opened(data: bytes, folder: Path) -> list[Listed]:
    """Unpack it; the folder of the temporary folder may hold nothing else afterwards."""
    folder.mkdir()
    bundle, out = folder / "bundle.zip", folder / "out"
    bundle.write_bytes(data)
    out.mkdir()
    try:
        return unpack(bundle, out)
    finally:
        assert sorted(one.name for one in folder.iterdir()) == ["bundle.zip", "out"]


def owners(data: bytes) -> list[str]:
    """The file that each byte of an archive belongs to, as zipfile sees it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos, start = archive.infolist(), archive.start_dir
    found = [DIRECTORY] * len(data)
    ends = [*(one.header_offset for one in infos[1:]), start]
    for info, end in zip(infos, ends, strict=True):
        found[info.header_offset : end] = [info.filename] * (end - info.header_offset)
    at = start
    for info in infos:
        length = 46 + len(info.filename.encode())
        found[at : at + length] = [info.filename] * length
        at += length
    return found


def test_other_readers_of_zip_take_it(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(packed())
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [LISTING, *sorted(FILES)]
        assert {name: archive.read(name) for name in FILES} == FILES
        assert all(stat.S_ISREG(one.external_attr >> 16) for one in archive.infolist())


def test_the_order_in_which_files_come_changes_nothing() -> None:
    assert packed() == packed(dict(reversed(FILES.items())))


def test_it_opens_with_what_was_put_in(tmp_path: Path) -> None:
    found = opened(packed(), tmp_path / "x")
    assert [one.name for one in found] == sorted(FILES)
    assert {one.name: (tmp_path / "x" / "out" / one.name).read_bytes() for one in found} == FILES


def test_every_flipped_byte_is_refused_with_its_file(tmp_path: Path) -> None:
    data = packed()
    belongs = owners(data)
    generator = random.Random(1)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= generator.randrange(1, 256)
        with pytest.raises(BundleError) as raised:
            opened(bytes(changed), tmp_path / str(place))
        assert f"`{belongs[place]}`" in str(raised.value), (place, belongs[place], str(raised.value))


@pytest.mark.parametrize("cut", [1, 22, 60, 400])
def test_one_that_was_cut_or_added_to_is_refused(tmp_path: Path, cut: int) -> None:
    data = packed()
    for number, changed in enumerate((data[:-cut], data + b"\0" * cut, data[cut:], b"")):
        with pytest.raises(BundleError):
            opened(changed, tmp_path / str(number))


def _archive(files: Mapping[str, bytes], lines: str | None = None, *, rights: int = 0o100644) -> bytes:
    """An archive as an attacker would write it: its listing is consistent in itself, whatever it names."""
    if lines is None:
        data = listing([Listed(name, len(one), hashlib.sha256(one).hexdigest()) for name, one in files.items()])
    else:
        head = listing([]).split(b"\n")[0] + b"\n" + lines.encode()
        data = head + b"# end " + hashlib.sha256(head).hexdigest().encode() + b"\n"
    out, directory, at, size = b"", b"", 0, 0
    for name, one in [(LISTING, data), *files.items()]:
        entry = Entry(name, zlib.crc32(one), len(one))
        record = bytearray(directory_record(entry, at))
        record[38:42] = (rights << 16).to_bytes(4, "little")
        directory += record
        out += local_header(entry) + one
        at, size = len(out), len(directory)
    return out + directory + end_records(len(files) + 1, size, at)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "a//b",
        ".hidden",
        "a\\..\\b",
        "C:evil",
        "a/./b",
        "x" * 300,
        "ä",
        LISTING,
        "a/",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError) as raised:
        opened(_archive({name: b"evil"}), tmp_path / "x")
    assert "\n" not in str(raised.value)
    assert list((tmp_path / "x" / "out").iterdir()) == []


def test_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="directory"):
        opened(_archive({"a": b"/etc/passwd"}, rights=stat.S_IFLNK | 0o777), tmp_path / "x")


def test_duplicates_are_refused(tmp_path: Path) -> None:
    line = f"# 1 bytes\n{hashlib.sha256(b'x').hexdigest()}  a\n"
    with pytest.raises(BundleError, match="twice"):
        opened(_archive({"a": b"x"}, line * 2), tmp_path / "x")


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="below"):
        opened(_archive({"a": b"x", "a/b": b"y"}), tmp_path / "x")


@pytest.mark.parametrize("size", [0, 2, 10**15])
def test_wrong_sizes_are_refused_before_anything_is_unpacked(tmp_path: Path, size: int) -> None:
    line = f"# {size} bytes\n{hashlib.sha256(b'x').hexdigest()}  a\n"
    with pytest.raises(BundleError, match="bytes"):
        opened(_archive({"a": b"x"}, line), tmp_path / "x")
    assert list((tmp_path / "x" / "out").iterdir()) == []


def test_sizes_beyond_all_that_an_archive_can_hold_are_refused(tmp_path: Path) -> None:
    lines = "".join(f"# {10**16 - 1} bytes\n{'0' * 64}  f{number:04}\n" for number in range(2000))
    with pytest.raises(BundleError, match="bytes"):  # together they are more than a place of 64 bits can tell
        opened(_archive({}, lines), tmp_path / "x")
    assert list((tmp_path / "x" / "out").iterdir()) == []


def test_a_bomb_is_no_bundle(tmp_path: Path) -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(LISTING, b"# llem bundle" + b"\0" * 10_000_000)
        archive.writestr("bomb", b"\0" * 50_000_000)
    with pytest.raises(BundleError):
        opened(out.getvalue(), tmp_path / "x")
    assert list((tmp_path / "x" / "out").iterdir()) == []


def test_a_temporary_folder_without_room_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(packed())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, before[1]))
    try:
        with pytest.raises(BundleError) as caught, unpacked(path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert f"it cannot be unpacked into {tempfile.gettempdir()}: File too large" in str(caught.value)
    assert "TMPDIR" in str(caught.value.remedy)


def test_a_folder_in_the_place_of_a_bundle_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read: Is a directory") as caught, unpacked(tmp_path):
        pass
    assert caught.value.where == str(tmp_path)


def test_other_archives_and_files_are_no_bundles(tmp_path: Path) -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("README", "hello")
    for number, data in enumerate((out.getvalue(), b"no archive", b"PK\x03\x04", bytes(1000))):
        with pytest.raises(BundleError, match="no bundle that llem wrote"):
            opened(data, tmp_path / str(number))


def test_beyond_four_gigabytes_other_readers_find_the_files(tmp_path: Path) -> None:
    small = Entry("small", zlib.crc32(b"x"), 1)
    entries = [Entry("large", 0, 5 * 2**30), small]
    at, directory = 0, b""
    with (tmp_path / "b.zip").open("wb") as out:  # sparse: the large one is a hole
        for entry in entries:
            directory += directory_record(entry, at)
            out.seek(at)
            out.write(local_header(entry))
            at += len(local_header(entry)) + entry.size
        out.seek(at - 1)
        out.write(b"x" + directory + end_records(2, len(directory), at))
        assert out.tell() == archive_size(entries)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert [one.file_size for one in archive.infolist()] == [5 * 2**30, 1]
        assert archive.read("small") == b"x"
