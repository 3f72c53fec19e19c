"""Backups: sealed, verified before use, restored into an empty database or not at all."""

import asyncio
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from sqlalchemy import insert, select, text, update

from host_tools.command_line import run
from host_tools.commands import backup as backup_command
from host_tools.commands import restore as restore_command
from host_tools.commands import sync as sync_command
from host_tools.errors import UserError
from host_tools.store import archive, database, sealed
from host_tools.store.database import Store
from host_tools.store.models import Alarm, Base, Payment, Record
from host_tools.store.sealed import Damaged, Opener, Sealer
from host_tools.store.sync import sync
from tests.support import postgres
from tests.support.journal_terminal import JournalTerminal

WORD = "correct horse battery"
NOW = 1_800_000_000
LOW = 10  # scrypt's cost: tests are many


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = database.open(f"sqlite:///{tmp_path / 'store.sqlite'}")
    for serial in ("T1", "T2"):
        terminal = JournalTerminal(serial)
        terminal.sales(40)
        asyncio.run(sync(opened, terminal, clock=lambda: NOW))
    yield opened
    opened.close()


def made(store: Store, path: Path) -> str:
    archive.back_up(store, str(path), WORD, cost=LOW, clock=lambda: NOW)
    return str(path)


def everything(store: Store) -> dict[str, list[Any]]:
    with store.read() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


def test_a_restore_into_an_empty_database_is_the_same_database(
    store: Store, tmp_path: Path
) -> None:
    path = made(store, tmp_path / "b.till")
    url = f"sqlite:///{tmp_path / 'new' / 'store.sqlite'}"
    summary, alarms = archive.restore(path, WORD, url)
    assert alarms == []
    assert summary == archive.examine(path, WORD)
    restored = database.open(url, create=False)
    assert everything(restored) == everything(store)
    terminal = JournalTerminal("T1")
    terminal.sales(40)
    terminal.sale()
    assert asyncio.run(sync(restored, terminal, clock=lambda: NOW)).new == 4
    restored.close()


@pytest.mark.postgres
def test_a_backup_moves_between_kinds_of_databases(store: Store, tmp_path: Path) -> None:
    if postgres.why_not():
        pytest.skip(postgres.why_not())
    there, back = postgres.server().new(), f"sqlite:///{tmp_path / 'back.sqlite'}"
    archive.restore(made(store, tmp_path / "a.till"), WORD, there)
    other = database.open(there, create=False)
    assert everything(other) == everything(store)
    archive.restore(made(other, tmp_path / "b.till"), WORD, back)
    third = database.open(back, create=False)
    assert everything(third) == everything(store)
    third.close()
    terminal = JournalTerminal("T9")  # new rows go on behind the restored ones
    terminal.sales(3)
    assert asyncio.run(sync(other, terminal, clock=lambda: NOW)).alarms == []
    other.close()


def test_nothing_readable_stands_in_the_file(store: Store, tmp_path: Path) -> None:
    data = Path(made(store, tmp_path / "b.till")).read_bytes()
    assert (tmp_path / "b.till").stat().st_mode & 0o777 == 0o600
    for word in (b"payment", b"622202", b"UnionPay", b"TESTMERCHANT", b"opentill store"):
        assert word not in data
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_database_with_data_is_not_touched(store: Store, tmp_path: Path) -> None:
    path = made(store, tmp_path / "b.till")
    before = everything(store)
    with pytest.raises(UserError, match="there is data in this database already"):
        archive.restore(path, WORD, str(store.engine.url))
    assert everything(store) == before


def test_an_empty_database_that_till_made_is_empty_enough(store: Store, tmp_path: Path) -> None:
    path = made(store, tmp_path / "b.till")
    url = f"sqlite:///{tmp_path / 'other.sqlite'}"
    database.open(url).close()
    archive.restore(path, WORD, url)
    restored = database.open(url, create=False)
    assert everything(restored) == everything(store)
    restored.close()


def test_another_program_s_database_is_not_touched(store: Store, tmp_path: Path) -> None:
    path = made(store, tmp_path / "b.till")
    url = f"sqlite:///{tmp_path / 'other.sqlite'}"
    other = database.bare(url)
    other.change(lambda connection: connection.execute(text("CREATE TABLE theirs (x)")))
    with pytest.raises(UserError, match="another program"):
        archive.restore(path, WORD, url)
    with pytest.raises(UserError, match="another program"):
        database.open(url)
    other.close()


@pytest.mark.parametrize(
    ("passphrase", "words"),
    [("", "wrong"), ("Correct horse battery", "wrong"), (WORD + " ", "wrong")],
)
def test_a_wrong_passphrase_is_named(
    store: Store, tmp_path: Path, passphrase: str, words: str
) -> None:
    path = made(store, tmp_path / "b.till")
    with pytest.raises(Damaged, match=words):
        archive.examine(path, passphrase)


def test_every_flipped_bit_and_every_cut_is_noticed(store: Store, tmp_path: Path) -> None:
    path = made(store, tmp_path / "b.till")
    data = Path(path).read_bytes()
    spoilt = tmp_path / "spoilt.till"
    url = f"sqlite:///{tmp_path / 'new.sqlite'}"
    places = [*range(0, 130, 7), *range(130, len(data), max(1, len(data) // 25)), len(data) - 1]
    versions = [data[:at] + bytes((data[at] ^ 4,)) + data[at + 1 :] for at in places]
    versions += [data[:at] for at in (0, 5, 20, 100, 5000, len(data) - 17, len(data) - 1)]
    versions += [data + b"x", data + data]
    for one in versions:
        spoilt.write_bytes(one)
        with pytest.raises(Damaged):
            archive.restore(str(spoilt), WORD, url)
    assert not (tmp_path / "new.sqlite").exists()


def chunks_of(data: bytes, count: int) -> tuple[bytes, list[bytes]]:
    """The head and the chunks of a sealed file."""
    size = sealed.CHUNK + 16
    head = len(data) - ((len(data) - 200) // size * size) if count == 0 else count
    return data[:head], [data[at : at + size] for at in range(head, len(data), size)]


def test_chunks_cannot_be_moved_dropped_or_taken_from_another_file() -> None:
    plain = bytes(range(256)) * 1024  # four chunks
    files = []
    for _ in range(2):
        file = io.BytesIO()
        sealer = Sealer(file, WORD, NOW, LOW)
        sealer.write(plain)
        sealer.seal()
        files.append(file.getvalue())
    start = len(files[0]) - len(plain) - 4 * 16
    head, parts = chunks_of(files[0], start)
    _, others = chunks_of(files[1], start)

    def opened(data: bytes) -> bytes:
        opener = Opener(io.BytesIO(data), WORD)
        return b"".join(iter(opener.read, b""))

    assert opened(head + b"".join(parts)) == plain
    for wrong in (
        [parts[1], parts[0], parts[2], parts[3]],
        [parts[0], parts[2], parts[3]],
        parts[:3],
        [*parts, parts[3]],
        [parts[0], others[1], *parts[2:]],
        [],
    ):
        with pytest.raises(Damaged):
            opened(head + b"".join(wrong))
    with pytest.raises(Damaged, match="end is missing"):
        opened(head + b"".join(parts[:3]))


def remade(header: bytes, version: int = 1) -> bytes:
    head = sealed._HEAD.pack(sealed.MAGIC, version, len(header)) + header
    return head + zlib.crc32(head).to_bytes(4, "big") + bytes(32) + bytes(100)


GOOD = {1: bytes(16), 2: 10, 3: 65536, 4: bytes(7), 5: NOW}


@pytest.mark.parametrize(
    "header",
    [
        GOOD | {2: 40}, GOOD | {2: 19}, GOOD | {2: 0}, GOOD | {2: 1 << 70}, GOOD | {1: b""},
        GOOD | {3: 1 << 40}, GOOD | {3: 0}, GOOD | {4: "1234567"}, GOOD | {5: None}, {}, [], 7,
        {1: [[[[]]]]},
    ],
)  # fmt: skip
def test_a_header_that_asks_for_too_much_is_refused(header: Any) -> None:
    with pytest.raises(Damaged):
        Opener(io.BytesIO(remade(cbor2.dumps(header))), WORD)


def test_files_of_others_and_of_newer_tills_are_named(tmp_path: Path) -> None:
    for data, words in (
        (b"", "no backup"),
        (b"SQLite format 3\x00" + bytes(100), "no backup"),
        (remade(cbor2.dumps(GOOD), version=2), "newer"),
        (remade(cbor2.dumps(GOOD)), "wrong"),
        (remade(b""), "damaged"),
    ):
        path = tmp_path / "file"
        path.write_bytes(data)
        with pytest.raises(Damaged, match=words):
            archive.examine(str(path), WORD)
    with pytest.raises(UserError, match="No such file"):
        archive.examine(str(tmp_path / "nothing"), WORD)


def sealed_values(path: Path, *values: Any) -> str:
    with path.open("wb") as file:
        sealer = Sealer(file, WORD, NOW, LOW)
        sealer.write(zlib.compress(b"".join(map(cbor2.dumps, values))))
        sealer.seal()
    return str(path)


@pytest.mark.parametrize(
    "long", [bytes(archive._MOST_VALUE), [bytes(archive._MOST_VALUE // 2)] * 3, None]
)
def test_a_backup_does_not_become_much_more_than_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: Any
) -> None:
    values: list[Any] = [HEAD, ["table", "setting", ["name", "value"]]]
    if long is None:
        monkeypatch.setattr(archive, "_MOST_OVER", 0)
        values += [["rows", [["a", "b" * 4_000_000]]]] * 3
    else:
        values += [["rows", [["a", long]]]]
    path = sealed_values(tmp_path / "b.till", *values)
    with pytest.raises(Damaged, match="longer than a backup can be"):
        archive.examine(path, WORD)


def test_too_little_memory_for_the_passphrase_is_told(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(store, tmp_path / "b.till")

    class Hungry:
        def __init__(self, **_: Any) -> None:
            raise MemoryError

    monkeypatch.setattr(sealed, "Scrypt", Hungry)
    with pytest.raises(UserError, match="1 MiB are needed"):
        archive.examine(path, WORD)


HEAD = ["opentill store", 1, "0001", NOW]
NONSENSE = {
    "nothing": [],
    "another kind": [["else", 1, "0001", NOW]],
    "no end": [HEAD, ["table", "terminal", ["id"]]],
    "rows that lack": [HEAD, ["table", "terminal", ["id"]], ["end", "terminal", 1], ["whole", 1]],
    "another table's end": [HEAD, ["table", "a", ["id"]], ["end", "b", 0], ["whole", 0]],
    "a wrong whole": [HEAD, ["whole", 3]],
    "more than the whole": [HEAD, ["whole", 0], ["whole", 0]],
    "no list": [HEAD, 7],
    "an unknown table": [HEAD, ["table", "theirs", ["x"]], ["end", "theirs", 0], ["whole", 0]],
    "an unknown column": [
        HEAD, ["table", "setting", ["x"]], ["rows", [[1]]], ["end", "setting", 1], ["whole", 1],
    ],
    "short rows": [
        HEAD, ["table", "setting", ["name", "value"]], ["rows", [["a"]]], ["end", "setting", 1],
        ["whole", 1],
    ],
    "a newer version": [
        ["opentill store", 1, "9999", NOW], ["table", "setting", ["name"]], ["end", "setting", 0],
        ["whole", 0],
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", NONSENSE)
def test_a_backup_of_nonsense_changes_nothing(tmp_path: Path, what: str) -> None:
    path = sealed_values(tmp_path / "b.till", *NONSENSE[what])
    url = f"sqlite:///{tmp_path / 'new.sqlite'}"
    with pytest.raises(UserError):
        archive.restore(path, WORD, url)
    left = database.open(url)
    assert all(not found for name, found in everything(left).items() if name in ("setting",))
    left.close()


def test_a_backup_of_an_older_version_is_brought_up_to_date(store: Store, tmp_path: Path) -> None:
    if len(database.revisions()) < 2:
        pytest.skip("there is one version of the tables yet")
    old = database.bare(f"sqlite:///{tmp_path / 'old.sqlite'}")
    old.change(lambda connection: database.upgrade(connection, "0001"))
    first = {"terminal", "record", "cursor", "payment", "batch", "alarm", "setting"}
    content = everything(store)

    def fill(connection: Any) -> None:
        for table in Base.metadata.sorted_tables:
            if table.name in first and content[table.name]:
                names = [column.name for column in table.columns]
                rows = [dict(zip(names, row, strict=True)) for row in content[table.name]]
                connection.execute(insert(table), rows)

    old.change(fill)
    path = str(tmp_path / "b.till")
    assert archive.back_up(old, path, WORD, cost=LOW).revision == "0001"
    old.close()
    url = f"sqlite:///{tmp_path / 'new.sqlite'}"
    archive.restore(path, WORD, url)
    restored = database.open(url, create=False)
    found = everything(restored)
    assert {name: found[name] for name in first} == {name: content[name] for name in first}
    restored.close()


def test_records_that_do_not_fit_are_told_at_the_restore(store: Store, tmp_path: Path) -> None:
    change = update(Record).where(Record.sequence == 5, Record.terminal_id == 1)
    store.change(lambda connection: connection.execute(change.values(kind=9)))
    path = made(store, tmp_path / "b.till")
    _, alarms = archive.restore(path, WORD, f"sqlite:///{tmp_path / 'new.sqlite'}")
    assert [one.code for one in alarms] == ["edited"]


# -- the commands


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")
    monkeypatch.delenv("OPENTILL_DATABASE", raising=False)
    monkeypatch.setattr(sealed, "COST", LOW)
    monkeypatch.setattr(archive.back_up, "__defaults__", (None, LOW, lambda: NOW))
    (tmp_path / "word").write_text(WORD + "\n")
    return tmp_path


def till(name: str, *arguments: str) -> int:
    commands: Any = {"backup": backup_command, "restore": restore_command, "sync": sync_command}
    return run(commands[name].app, f"till {name}", arguments)


def test_the_commands_back_up_check_and_restore(
    store: Store, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, word, url = str(home / "b.till"), str(home / "word"), f"sqlite:///{home / 'new.sqlite'}"
    base = ["--passphrase-file", word]
    assert till("backup", "--out", out, "--database", str(store.engine.url), *base) == 0
    assert "whole" in capsys.readouterr().out
    assert till("backup", "--out", out, "--database", str(store.engine.url), *base) == 1
    assert "--force" in capsys.readouterr().err
    assert till("backup", "--check", out, "--json", *base) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"]["payment"] == 80
    assert till("restore", out, "--database", url, *base) == 0
    assert till("restore", out, "--database", url, *base) == 1
    assert "there is data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--out", "x", "--check", "y"], 2, "--out FILE"),
        ([], 2, "--out FILE"),
        (["--check", "y", "--force"], 2, "--check FILE alone"),
        (["--out", "x", "--database", "sqlite:////nowhere/x.sqlite"], 1, "no database yet"),
        (["--out", "x", "--database", "nonsense"], 1, "sqlite:///FILE"),
        (["--out", "x", "--database", "oracle://x"], 1, "the package"),
        (["--out", "x", "--database", "madeup://x"], 1, "no support"),
        (["--check", "x", "--passphrase-file", "/nowhere/word"], 1, "cannot be read"),
    ],
)
def test_bad_command_lines_of_backup(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert till("backup", *arguments) == code
    assert words in capsys.readouterr().err


def test_a_short_passphrase_is_refused(
    store: Store, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "word").write_text("short\n")
    arguments = ["--out", str(home / "b"), "--database", str(store.engine.url)]
    assert till("backup", *arguments, "--passphrase-file", str(home / "word")) == 1
    assert "10 characters" in capsys.readouterr().err
    assert not (home / "b").exists()


def test_alarms_are_listed_until_they_are_seen(
    store: Store, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"terminal_id": 1, "at": NOW, "code": "gap", "detail": "4 - 7", "sequence": 8}
    store.change(lambda connection: connection.execute(insert(Alarm).values(row | {"seen": False})))
    url = str(store.engine.url)
    assert till("sync", "--alarms", "--database", url) == 1
    assert "4 - 7" in capsys.readouterr().out
    assert till("sync", "--alarms", "--seen", "--json", "--database", url) == 0
    assert json.loads(capsys.readouterr().out)["alarms"][0]["code"] == "gap"
    assert till("sync", "--alarms", "--database", url) == 0


def test_rebuild_sets_the_hour_at_which_a_business_day_begins(store: Store, home: Path) -> None:
    url = str(store.engine.url)
    assert till("sync", "--rebuild", "--cut-off", "12", "--database", url) == 0
    with store.read() as connection:
        days = set(connection.scalars(select(Payment.business_date)))
    assert days == {"2026-04-01"}  # 12:00 exactly
    assert till("sync", "--rebuild", "--database", url) == 0
    store.change(lambda connection: connection.execute(update(Record).values(chain=bytes(32))))
    assert till("sync", "--rebuild", "--database", url) == 1


@pytest.mark.parametrize(
    "arguments",
    [["T1", "--all"], ["--alarms", "--watch"], ["--seen"], ["--cut-off", "4"], ["--cut-off", "13"]],
)
def test_bad_command_lines_of_sync(home: Path, arguments: list[str]) -> None:
    assert till("sync", *arguments) == 2
