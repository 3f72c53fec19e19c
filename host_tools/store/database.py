"""Opens the PC's database: SQLite in the user's data folder, or what a URL names.

SQLite runs in WAL mode with full synchronisation: what a transaction committed survives a power
cut, and reports read while a sync writes. PostgreSQL commits durably as its server is set. The
tables are brought up to this till's version under a lock, one step of ``migrations`` each.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    StatementError,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from host_tools import folders
from host_tools.errors import UserError
from host_tools.texts import later, said

T = TypeVar("T")

FILE = "store.sqlite"
#: Where the database is, when no command line says so.
VARIABLE = "OPENTILL_DATABASE"
MIGRATIONS = Path(__file__).with_name("migrations")
#: How long one till waits for another's transaction.
_BUSY_MS = 10_000
#: Transactions that a server broke off for another's sake are done again this often.
_TRIES = 5
#: Serialization failure, deadlock, two that made the same row at once.
_AGAIN = ("40001", "40P01", "23505")
#: PostgreSQL's advisory lock while tables are made: any number, but always this one.
_LOCK = 7_310_145_822
_WRITING = "opentill_writing"


class Store:
    """An open database. ``engine`` is SQLAlchemy's; errors of it pass through ``told``."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(**{_WRITING: True})

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return place(self.engine.url)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout. UserError."""
        with self.told(), self.engine.connect() as connection:
            if connection.dialect.name != "sqlite":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    def change(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` in a transaction that is durable when this returns; all of it or
        nothing. It is done again when the server asks for that. UserError."""
        with self.told():
            for left in reversed(range(_TRIES)):
                try:
                    with self._writer.begin() as connection:
                        return work(connection)
                except DBAPIError as error:
                    if not left or getattr(error.orig, "sqlstate", None) not in _AGAIN:
                        raise
        raise AssertionError("the last try returns or raises")

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """An ORM session for reading; nothing of it is committed. UserError."""
        with self.read() as connection, Session(connection) as session:
            yield session

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Errors of the database become UserErrors that say what to do."""
        try:
            yield
        except StatementError as error:  # whatever a database says is one
            raise _advice(error, self.place) from error

    def close(self) -> None:
        """Give everything back."""
        self.engine.dispose()


def default_url() -> str:
    """What OPENTILL_DATABASE says, else SQLite in the user's data folder. UserError."""
    return os.environ.get(VARIABLE) or f"sqlite:///{folders.data() / FILE}"


def open(url: str = "", create: bool = True) -> Store:
    """The database at ``url`` (``default_url`` without one), brought up to this till's version.
    With ``create`` it is made if there is none yet. UserError."""
    engine = _engine(url or default_url(), create)
    store = Store(engine)
    try:
        with store.told():
            _bring_up(store, create)
    except BaseException:
        engine.dispose()
        raise
    return store


def bare(url: str = "") -> Store:
    """The database at ``url`` as it is, made without tables if there is none: for a restore."""
    return Store(_engine(url or default_url(), True))


def _engine(text: str, create: bool) -> Engine:
    try:
        url = make_url(text)
    except ArgumentError:
        raise UserError(
            said("the database's URL is none: sqlite:///FILE or postgresql://USER@HOST/NAME")
        ) from None
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    arguments: dict[str, Any] = {}
    lite = url.get_backend_name() == "sqlite"
    if lite:
        if not url.database or url.database == ":memory:":
            arguments["poolclass"] = StaticPool
        else:
            _prepare_file(Path(url.database), create)
        arguments["connect_args"] = {"check_same_thread": False}
    try:
        engine = create_engine(url, **arguments)
    except NoSuchModuleError:
        raise UserError(
            said("there is no support for {name} databases", name=url.drivername)
        ) from None
    except ModuleNotFoundError as error:
        raise UserError(
            said("the package {name} is missing; type: pip install 'opentill[postgres]'",
                 name=error.name)
        ) from None  # fmt: skip
    if lite:
        event.listen(engine, "connect", _connected)
        event.listen(engine, "begin", _begun)
    return engine


def _prepare_file(path: Path, create: bool) -> None:
    """An empty file for its owner only, where there is none: SQLite takes its mode over."""
    if path.exists():
        return
    if not create:
        raise _none_yet(str(path))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise UserError(
            said("{place}: the database cannot be made: {cause}", place=path, cause=error.strerror)
        ) from None


def _none_yet(place: str) -> UserError:
    return UserError(said("{place}: there is no database yet; `till sync` makes it", place=place))


def _connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where _begun says, DDL included
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begun(connection: Connection) -> None:
    # A transaction that will write takes the lock at once: waiting for it later cannot succeed.
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def place(url: URL) -> str:
    """Where a database is, for people: no password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.render_as_string(hide_password=True)


# -- versions of the tables


def revisions() -> list[str]:
    """Versions of the tables that this till knows, the newest last."""
    files = (MIGRATIONS / "versions").glob("m[0-9][0-9][0-9][0-9]_*.py")
    return sorted(path.name[1:5] for path in files)


def revision(connection: Connection) -> str:
    """The version of the tables that are there; "" for none. UserError: another program's."""
    names = inspect(connection).get_table_names()
    if "alembic_version" in names:
        query = "SELECT version_num FROM alembic_version"
        found = connection.exec_driver_sql(query).scalars().all()
        if len(found) == 1:
            return str(found[0])
        names = []
    if names:
        raise UserError(
            said("{place}: another program's tables are in this database; give one of its own",
                 place=place(connection.engine.url))
        )  # fmt: skip
    return ""


def upgrade(connection: Connection, target: str = "head") -> None:
    """Bring the tables to the version ``target``, inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def _bring_up(store: Store, create: bool) -> None:
    known = revisions()
    with store.engine.connect() as connection:
        found = revision(connection)
    if found == known[-1]:
        return
    if not found and not create:
        raise _none_yet(store.place)

    def work(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        found = revision(connection)  # another till may have been quicker
        if found and found not in known:
            raise UserError(
                said("{place}: a newer till made these tables (version {found}, this one knows "
                     "{known}); update this till", place=store.place, found=found, known=known[-1])
            )  # fmt: skip
        if found != known[-1]:
            upgrade(connection)

    store.change(work)


# -- errors

#: What SQLite says, and what it means for the user.
_SAID = (
    (
        "database is locked",
        later("{place}: another program is writing to the database; try again later"),
    ),
    (
        "disk is full",
        later("{place}: the disk is full; nothing was lost, make room and try again"),
    ),
    (
        "readonly database",
        later("{place}: the database may not be written; check its file's permissions"),
    ),
    (
        "unable to open",
        later("{place}: the database cannot be opened; check the folder's permissions"),
    ),
    (
        "not a database",
        later("{place}: this file is no database; restore a backup (till restore)"),
    ),
    (
        "malformed",
        later("{place}: the database is damaged; restore a backup (till restore)"),
    ),
    (
        "disk I/O error",
        later("{place}: the disk failed; check it, then restore a backup (till restore)"),
    ),
)


def _advice(error: StatementError, place: str) -> UserError:
    cause = str(error.orig).strip() or type(error.orig).__name__
    for words, text in _SAID:
        if words in cause:
            return UserError(said(text, place=place))
    first = cause.splitlines()[0][:200]
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or isinstance(error, InterfaceError):
        return UserError(
            said("{place}: the connection was lost: {cause}", place=place, cause=first)
        )
    return UserError(said("{place}: the database refused: {cause}", place=place, cause=first))
