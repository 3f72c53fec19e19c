"""Opening the PC's database: versions, and what is said when it does not open."""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import OperationalError

import host_tools.store
from host_tools.errors import UserError
from host_tools.store import books, database, outbox
from host_tools.store.models import Base, Setting
from tests.support import postgres

assert books and outbox  # their tables belong to the same database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    if postgres.why_not():
        pytest.skip(postgres.why_not())
    return postgres.server().new()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "store.sqlite"
    database.open(f"sqlite:///{path}").close()
    yield path


def test_the_steps_make_the_tables_that_the_models_say(url: str) -> None:
    store = database.open(url)
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert database.revision(connection) == database.revisions()[-1]
    store.close()


def test_each_step_follows_the_one_before() -> None:
    from alembic.script import ScriptDirectory

    folder = Path(host_tools.store.__file__).with_name("migrations")
    steps = list(ScriptDirectory(str(folder)).walk_revisions())
    assert [one.revision for one in reversed(steps)] == database.revisions()


def test_many_open_a_new_database_at_once(url: str) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            database.open(url).close()
        except BaseException as error:  # noqa: BLE001 - the test tells it
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_what_a_transaction_did_is_there_or_not_at_all(url: str) -> None:
    store = database.open(url)

    def work(connection: Any) -> None:
        connection.execute(insert(Setting).values(name="a", value="1"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.change(work)
    with store.read() as connection:
        assert connection.scalar(select(Setting.value)) is None
    store.close()


def test_a_reader_sees_one_state_while_others_write(url: str) -> None:
    store = database.open(url)
    query = select(Setting.value).where(Setting.name == "a")
    with store.read() as reader:
        assert reader.scalar(query) is None
        store.change(lambda c: c.execute(insert(Setting).values(name="a", value="1")))
        assert reader.scalar(query) is None
    with store.session() as session:
        assert session.scalar(query) == "1"
    store.close()


@pytest.mark.postgres
def test_a_transaction_that_the_server_broke_off_is_done_again() -> None:
    if postgres.why_not():
        pytest.skip(postgres.why_not())
    store = database.open(postgres.server().new())
    tries = []

    def work(connection: Any) -> int:
        tries.append(1)
        connection.execute(insert(Setting).values(name=f"n{len(tries)}", value=""))
        if len(tries) < 3:
            connection.execute(text("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$"))
        return len(tries)

    assert store.change(work) == 3
    with store.read() as connection:
        assert list(connection.scalars(select(Setting.name))) == ["n3"]
    tries.clear()

    def never(connection: Any) -> None:
        tries.append(1)
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$"))

    with pytest.raises(UserError):
        store.change(never)
    assert len(tries) == 5
    store.close()


@pytest.mark.postgres
def test_a_server_that_dies_is_told_and_loses_nothing_that_was_committed() -> None:
    if postgres.why_not():
        pytest.skip(postgres.why_not())
    server = postgres.Postgres()
    store = database.open(server.new())
    store.change(lambda c: c.execute(insert(Setting).values(name="a", value="1")))
    server.kill()
    with pytest.raises(UserError) as caught:
        store.change(lambda c: c.execute(insert(Setting).values(name="b", value="1")))
    assert "connection" in str(caught.value)
    server.start()
    with store.read() as connection:
        assert list(connection.scalars(select(Setting.name))) == ["a"]
    store.close()
    server.close()


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.sqlite"
    store = database.open(f"sqlite:///{path}")
    store.change(lambda c: c.execute(insert(Setting).values(name="a", value="1")))
    for one in path.parent.iterdir():
        assert stat.S_IMODE(one.stat().st_mode) == 0o600, one
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()


def test_commits_reach_the_disk(file: Path) -> None:
    store = database.open(f"sqlite:///{file}")
    with store.read() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
    store.close()


def test_where_it_is_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENTILL_DATABASE", raising=False)
    monkeypatch.setenv("OPENTILL_HOME", str(tmp_path))
    database.open().close()
    assert (tmp_path / "store.sqlite").exists()
    monkeypatch.setenv("OPENTILL_DATABASE", f"sqlite:///{tmp_path / 'other.sqlite'}")
    database.open().close()
    assert (tmp_path / "other.sqlite").exists()


def bad(path: Path) -> dict[str, str]:
    """URL -> what is said of it."""
    return {
        f"sqlite:///{path / 'none.sqlite'}": "no database yet",
        "nonsense": "URL",
        "": "no database yet",
        "madeup://x/y": "no support",
        "postgresql://till@/x?host=/nowhere": "lost|refused",
    }


def test_what_is_said_when_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENTILL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OPENTILL_DATABASE", raising=False)
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")
    for url, words in bad(tmp_path).items():
        with pytest.raises(UserError, match=words):
            database.open(url, create=False)


def test_a_password_is_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://till:secret77@127.0.0.1:1/x"
    with pytest.raises(UserError) as caught:
        database.open(url)
    assert "secret77" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def garbage(path: Path) -> None:
    path.write_bytes(b"no database, but text " * 1000)


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    path.write_bytes(bytes(data))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILT: dict[Any, str] = {
    newer: "a newer till",
    garbage: "no database",
    damaged: "damaged|no database",
    folder: "cannot be opened",
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_file_that_is_none_of_ours_is_named(
    file: Path, spoil: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")
    spoil(file)
    with pytest.raises(UserError, match=SPOILT[spoil]) as caught:
        database.open(f"sqlite:///{file}")
    assert str(file) in str(caught.value)


def test_a_writer_that_does_not_end_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_MS", 1)
    store = database.open(f"sqlite:///{file}")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UserError, match="writing to the database"):
        store.change(lambda c: c.execute(insert(Setting).values(name="a", value="1")))
    other.execute("ROLLBACK")
    store.change(lambda c: c.execute(insert(Setting).values(name="a", value="1")))
    other.close()
    store.close()


def test_a_database_that_may_not_be_written_is_named(file: Path) -> None:
    store = database.open(f"sqlite:///{file}")

    @event.listens_for(store.engine, "checkout")
    def _(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA query_only = ON")  # root may write to any file

    with pytest.raises(UserError, match="may not be written"):
        store.change(lambda c: c.execute(insert(Setting).values(name="a", value="1")))
    store.close()


def test_every_driver_error_has_words(file: Path) -> None:
    store = database.open(f"sqlite:///{file}")
    for words in ("database is locked", "disk I/O error", "what nobody foresaw", ""):
        with pytest.raises(UserError) as caught, store.told():
            raise OperationalError("SELECT 1", {}, sqlite3.OperationalError(words))
        assert str(file) in str(caught.value)
        assert "SELECT" not in str(caught.value)
    store.close()
