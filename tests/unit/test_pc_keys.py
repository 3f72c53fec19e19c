"""host_tools.pc_link.keys and known: the PC's key and the terminals that it knows."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from host_tools import folders
from host_tools.errors import UserError
from host_tools.pc_link import keys
from host_tools.pc_link.known import Known, KnownTerminals


class Backend:
    priority = 5

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}


class Ring:
    """A keyring that a desktop has. ``broken``: what it raises; ``forgets``: keeps nothing."""

    def __init__(self, backend: Any = None) -> None:
        self.backend = backend or Backend()
        self.broken: Exception | None = None
        self.forgets = False
        self.kept: dict[tuple[str, str], str] = {}

    def get_keyring(self) -> Any:
        return self.backend

    def set_password(self, service: str, user: str, password: str) -> None:
        if self.broken:
            raise self.broken
        if not self.forgets:
            self.kept[service, user] = password

    def get_password(self, service: str, user: str) -> str | None:
        if self.broken:
            raise self.broken
        return self.kept.get((service, user))


class Nothing(Backend):
    pass


Nothing.__module__ = "keyring.backends.fail"


class Clear(Backend):
    pass


Clear.__module__ = "keyrings.alt.file"


class Chain:
    def __init__(self, *backends: Any) -> None:
        self.backends = list(backends)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")
    monkeypatch.delenv("OPENTILL_HOME", raising=False)


def entry(folder: Path) -> Any:
    return json.loads((folder / keys.FILE).read_text())


def test_the_key_is_made_once_and_kept_in_the_keyring(tmp_path: Path) -> None:
    ring = Ring()
    made = keys.load(tmp_path, ring)
    assert keys.load(tmp_path, ring).public == made.public
    assert entry(tmp_path) == {"where": "keyring", "public": made.public.hex()}
    assert len(ring.kept) == 1
    ring.broken = RuntimeError("locked")
    with pytest.raises(UserError, match=r"does not give it \(locked\); unlock the keyring"):
        keys.load(tmp_path, ring)
    with pytest.raises(UserError, match="unlock the keyring"):
        keys.load(tmp_path, Ring(Nothing()))
    with pytest.raises(UserError, match="unlock the keyring"):
        keys.load(tmp_path, Ring())
    other = keys.KeyPair(b"\x11" * 32)
    (name,) = list(ring.kept)
    ring.broken = None
    for wrong in ("!", "AAAA", keys.base64.b64encode(b"\x11" * 32).decode()):
        ring.kept[name] = wrong
        with pytest.raises(UserError, match="is damaged"):
            keys.load(tmp_path, ring)
    assert other.public != made.public


@pytest.mark.parametrize(
    "backend",
    [Nothing(), Clear(), Chain(Nothing(), Clear()), Chain()],
    ids=["none", "clear", "none and clear", "empty"],
)
def test_without_a_real_keyring_the_key_is_in_a_file_of_its_owner(
    backend: Any, tmp_path: Path
) -> None:
    made = keys.load(tmp_path, Ring(backend))
    assert entry(tmp_path)["where"] == "file"
    assert keys.load(tmp_path, Ring(backend)).public == made.public
    assert stat.S_IMODE((tmp_path / keys.FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [keys.FILE]


def test_a_keyring_among_others_that_are_none_is_used(tmp_path: Path) -> None:
    keys.load(tmp_path, Ring(Chain(Nothing(), Backend())))
    assert entry(tmp_path)["where"] == "keyring"


@pytest.mark.parametrize("fault", ["broken", "forgets"])
def test_a_keyring_that_keeps_nothing_is_not_trusted(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = Ring()
    ring.broken = OSError("no bus") if fault == "broken" else None
    ring.forgets = True
    made = keys.load(tmp_path, ring)
    assert entry(tmp_path)["where"] == "file"
    assert keys.load(tmp_path, Ring(Nothing())).public == made.public
    assert ("no bus" in capsys.readouterr().err) == (fault == "broken")


def test_with_a_folder_of_its_own_no_keyring_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENTILL_HOME", str(tmp_path / "stick"))
    keys.load()
    assert entry(tmp_path / "stick")["where"] == "file"
    assert folders.config() == folders.data() == tmp_path / "stick"
    assert stat.S_IMODE((tmp_path / "stick").stat().st_mode) == 0o700
    (tmp_path / "taken").touch()
    monkeypatch.setenv("OPENTILL_HOME", str(tmp_path / "taken" / "x"))
    with pytest.raises(UserError, match="cannot be made"):
        keys.load()


def test_a_key_that_others_can_read_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    ring = Ring(Nothing())
    keys.load(tmp_path, ring)
    path = tmp_path / keys.FILE
    good = path.read_text()
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(UserError, match="chmod 600"):
            keys.load(tmp_path, ring)
    path.chmod(0o600)
    whole = json.loads(good)
    for bad in (
        "", "{", "[]", "3", "{}", json.dumps({**whole, "where": "moon"}),
        json.dumps({**whole, "private": 3}), json.dumps({**whole, "private": "x"}),
        json.dumps({**whole, "public": "00"}), json.dumps({"where": "file"}), good[:-9],
    ):  # fmt: skip
        path.write_text(bad)
        with pytest.raises(UserError, match="is damaged"):
            keys.load(tmp_path, ring)
    path.write_text(good)
    keys.load(tmp_path, ring)


def test_programs_that_begin_together_end_with_one_key(tmp_path: Path) -> None:
    ring = Ring(Nothing())
    found: list[bytes] = []
    ready = threading.Barrier(6)

    def begin() -> None:
        ready.wait()
        found.append(keys.load(tmp_path, ring).public)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [keys.FILE]


def test_known_terminals_are_kept_whole_and_apart(tmp_path: Path) -> None:
    known = KnownTerminals(tmp_path)
    assert known.all() == [] and known.get("T1") is None and not known.remove("T1")
    odd = ["T1", "t1", "../../etc/passwd", "a/b", "CON", "x" * 32, "x" * 31 + "y", ".", " "]
    for number, serial in enumerate(odd):
        known.put(Known(serial, bytes([number]) * 32, roles=("sync",), made=number))
    assert [one.serial for one in known.all()] == sorted(odd)
    for number, serial in enumerate(odd):
        one = known.get(serial)
        assert one is not None and one.key == bytes([number]) * 32 and one.made == number
    folder = tmp_path / "terminals"
    assert len(list(folder.iterdir())) == len(odd)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    known.change("T1", confirmed=True, place="/dev/x")
    one = known.get("T1")
    assert one is not None and one.confirmed and one.place == "/dev/x"
    known.change("nobody", confirmed=True)
    assert known.remove("T1") and known.get("T1") is None


def test_a_write_that_fails_leaves_the_entry_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownTerminals(tmp_path)
    known.put(Known("T1", bytes(32)))
    before = known.all()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(UserError, match="No space left"):
                known.put(Known("T1", b"\x01" * 32))
        assert known.all() == before
        assert len(list((tmp_path / "terminals").iterdir())) == 1


def test_an_entry_under_another_name_is_not_taken(tmp_path: Path) -> None:
    known = KnownTerminals(tmp_path)
    known.put(Known("T1", bytes(32)))
    known.put(Known("T2", b"\x02" * 32))
    one, two = sorted((tmp_path / "terminals").iterdir())
    one.write_text(two.read_text())
    with pytest.raises(UserError, match="no entry of a known terminal"):
        known.get("T1")
