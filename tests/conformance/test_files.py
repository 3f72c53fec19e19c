"""hal.files: what every driver of that kind promises."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.drivers.files_mpy import MpyFiles
from firmware.drivers.files_posix import PosixFiles
from firmware.hal.files import Files, FilesError, NoSuchFile, StorageFull
from tests.support import littlefs_flash
from tests.support.faulty_disk import FaultyDisk, PowerCut
from tests.support.memory_files import MemoryFiles
from tests.support.virtual_time import run as run_virtual

Run = Callable[[Coroutine[Any, Any, None]], None]
DRIVERS = ("posix", "posix-faulty", "mpy", "mpy-littlefs", "memory")


@pytest.fixture(params=DRIVERS)
def setup(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Files, Run]]:
    name = request.param
    if name == "posix":
        files = PosixFiles(str(tmp_path / "data"))
        yield files, asyncio.run
        files.close()
    elif name == "posix-faulty":
        yield FaultyDisk().files(), run_virtual
    elif name == "mpy":
        yield MpyFiles(str(tmp_path / "data")), run_virtual
    elif name == "mpy-littlefs":
        yield littlefs_flash.mount(monkeypatch, littlefs_flash.Flash(), True), run_virtual
    else:
        yield MemoryFiles(), run_virtual


def test_append_read_size_list(setup: tuple[Files, Run]) -> None:
    files, run = setup

    async def main() -> None:
        assert await files.list() == []
        file = await files.open_append("b.log")
        await file.append(b"one")
        await file.append(b"")
        await file.append(b"two")
        await file.sync()
        assert await files.read("b.log") == b"onetwo"
        assert await files.read("b.log", 2, 3) == b"etw"
        assert await files.read("b.log", 4) == b"wo"
        assert await files.read("b.log", 100) == b""
        assert await files.size("b.log") == 6
        await file.close()
        again = await files.open_append("b.log")
        await again.append(b"3" * 3000)
        await again.sync()
        await again.close()
        await again.close()
        assert await files.size("b.log") == 3006
        await files.replace("a-A_1", b"x")
        assert await files.list() == ["a-A_1", "b.log"]
        assert await files.free() > 0

    run(main())


def test_replace_rename_remove_truncate(setup: tuple[Files, Run]) -> None:
    files, run = setup

    async def main() -> None:
        await files.replace("x", b"old" * 500)
        await files.replace("x", b"new")
        assert await files.read("x") == b"new"
        await files.replace("y", b"other")
        await files.rename("x", "y")
        await files.sync_folder()
        assert await files.list() == ["y"] and await files.read("y") == b"new"
        await files.truncate("y", 2)
        assert await files.read("y") == b"ne"
        await files.truncate("y", 0)
        assert await files.size("y") == 0
        await files.remove("y")
        await files.sync_folder()
        assert await files.list() == []

    run(main())


def test_an_absent_file_is_named(setup: tuple[Files, Run]) -> None:
    files, run = setup

    async def main() -> None:
        for call in (
            files.read("nope"),
            files.size("nope"),
            files.remove("nope"),
            files.rename("nope", "y"),
            files.truncate("nope", 0),
        ):
            with pytest.raises(NoSuchFile, match="nope"):
                await call
        assert await files.list() == []

    run(main())


@pytest.mark.parametrize("name", ["", ".x", "../x", "a/b", "a b", "x" * 65, "a\0", "é"])
@pytest.mark.parametrize("driver", ["posix-faulty", "mpy"])
def test_names_outside_the_folder_are_refused(driver: str, name: str, tmp_path: Path) -> None:
    files: Files = FaultyDisk().files() if driver == "posix-faulty" else MpyFiles(str(tmp_path))

    async def main() -> None:
        for call in (
            files.read(name),
            files.replace(name, b""),
            files.open_append(name),
            files.rename("a", name),
        ):
            with pytest.raises(FilesError):
                await call

    run_virtual(main())
    assert list(tmp_path.iterdir()) == []


def test_use_after_close_is_an_error(setup: tuple[Files, Run]) -> None:
    files, run = setup
    if isinstance(files, MemoryFiles):
        pytest.skip("the RAM double does not model handles")

    async def main() -> None:
        file = await files.open_append("x")
        await file.close()
        with pytest.raises(FilesError, match="closed"):
            await file.append(b"1")
        with pytest.raises(FilesError, match="closed"):
            await file.sync()

    run(main())


def test_a_full_disk_leaves_the_file_as_it_was() -> None:
    async def main() -> None:
        disk = FaultyDisk(capacity=1000)
        files = disk.files()
        file = await files.open_append("x")
        await file.append(b"1" * 900)
        with pytest.raises(StorageFull):
            await file.append(b"2" * 200)
        assert await files.read("x") == b"1" * 900
        await file.append(b"3" * 100)
        with pytest.raises(StorageFull):
            await files.replace("y", b"4")
        assert await files.list() == ["x"]

    run_virtual(main())


def test_a_full_flash_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    files = littlefs_flash.mount(monkeypatch, littlefs_flash.Flash(12), True)

    async def main() -> None:
        await files.replace("x", b"1" * 2000)
        with pytest.raises(StorageFull):
            await files.replace("y", b"2" * 20000)
        assert await files.read("x") == b"1" * 2000

    run_virtual(main())


async def _replace_rounds(files: Files) -> None:
    for i in range(4):
        await files.replace("x", b"%d" % i * 700)


def test_replace_is_atomic_at_every_cut_of_the_disk() -> None:
    whole = {b"%d" % i * 700 for i in range(4)}
    for n in range(1, 200):
        disk = FaultyDisk(n)
        disk.cut_after(n)
        try:
            run_virtual(_replace_rounds(disk.files()))
        except PowerCut:
            for fates in disk.fates(40):
                twin = disk.clone()
                twin.reboot(fates)
                content = twin.snapshot()
                assert content.get("x", b"0" * 700) in whole, (n, disk.log)
            continue
        assert n > 15
        return
    raise AssertionError("the script never ended")


async def _content(files: Files) -> dict[str, bytes]:
    return {name: await files.read(name) for name in await files.list()}


def test_replace_is_atomic_at_every_cut_of_the_flash(monkeypatch: pytest.MonkeyPatch) -> None:
    blank = littlefs_flash.Flash(16)
    littlefs_flash.mount(monkeypatch, blank, True)
    whole = {b"%d" % i * 700 for i in range(4)}
    for n in range(1, 2000):
        flash = blank.clone()
        files = littlefs_flash.mount(monkeypatch, flash)
        flash.cut_at = n
        try:
            run_virtual(_replace_rounds(files))
        except PowerCut:
            again = littlefs_flash.mount(monkeypatch, flash.clone())
            assert run_virtual(_content(again)) in ({}, *({"x": one} for one in whole)), n
            continue
        assert n > 20
        return
    raise AssertionError("the script never ended")


def test_real_sync_leaves_the_loop_free(tmp_path: Path) -> None:
    """The driver's thread does the slow call: others run meanwhile."""
    files = PosixFiles(str(tmp_path))

    async def main() -> None:
        file = await files.open_append("x")
        await file.append(b"1")
        order: list[str] = []

        async def other() -> None:
            order.append("other")

        task = asyncio.get_running_loop().create_task(other())
        await file.sync()
        order.append("synced")
        await task
        assert order == ["other", "synced"]
        await file.close()

    asyncio.run(main())
    files.close()
