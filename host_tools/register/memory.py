"""What registers asked for: that no message counts twice, and how each was answered.

The terminal is the truth about money; it keeps the last results only. Here stands, durable
before a payment is asked of it, which message of which register it was, and afterwards its
settled answer.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Index,
    LargeBinary,
    create_engine,
    delete,
    event,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from host_tools.errors import UserError

#: A register's message id is its own again after this (nexo: 48 h).
UNIQUE_S = 48 * 3600
#: A message is known again, word for word, for so long.
KEPT_S = 400 * 24 * 3600
VERSION = 2
#: From version 1, whose references the ids of registers made: the terminal is not asked by them
#: again, and nobody noted whether it had begun.
_FROM_1 = (
    "ALTER TABLE message ADD COLUMN reference VARCHAR NOT NULL DEFAULT ''",
    "ALTER TABLE message ADD COLUMN begun BOOLEAN NOT NULL DEFAULT 1",
    "UPDATE message SET reference = 'version-1:' || id",
    "CREATE INDEX ix_message_reference ON message (reference)",
)


class _Base(DeclarativeBase):
    """Base of the one table."""


class _Message(_Base):
    __tablename__ = "message"
    __table_args__ = (
        Index(None, "register", "request", "seen"),
        Index(None, "digest"),
        Index(None, "reference"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    register: Mapped[str]
    request: Mapped[str]
    kind: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    seen: Mapped[int]
    context: Mapped[str]
    answer: Mapped[str]
    reference: Mapped[str]
    begun: Mapped[bool]


@dataclass(frozen=True)
class Message:
    """``kind``: the message's category; ``seen``: Unix seconds; ``context``: what its answer
    repeats of it; ``answer``: empty until it is settled; ``reference``: what the terminal knows
    a payment by; ``begun``: the terminal was heard to begin it."""

    register: str
    request: str
    kind: str
    digest: bytes
    seen: int
    context: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""
    begun: bool = False


def _now() -> int:
    return int(time.time())


def _private(path: Path) -> None:
    """The file, its owner's only (SQLite gives its companions the same rights). UserError."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise UserError(f"{path} cannot be opened: {error.strerror}") from None


class Memory:
    """The file ``path``, made if new; without one everything is forgotten at the end."""

    def __init__(self, path: Path | None = None, now: Callable[[], int] = _now) -> None:
        self.now = now
        if path is not None:
            _private(path)
        self._engine = create_engine(f"sqlite:///{path or ':memory:'}")

        @event.listens_for(self._engine, "connect")
        def _prepare(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")

        try:
            with self._engine.begin() as connection:
                found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                if found not in (0, 1, VERSION):
                    raise UserError(f"{path}: of version {found}, this till knows {VERSION}")
                if found == 1:
                    for change in _FROM_1:
                        connection.exec_driver_sql(change)
                connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
            _Base.metadata.create_all(self._engine)
            with Session(self._engine) as session, session.begin():
                session.execute(delete(_Message).where(_Message.seen < self.now() - KEPT_S))
        except DatabaseError as error:
            self._engine.dispose()
            raise UserError(f"{path} cannot be opened: {error.orig}") from error
        except UserError:
            self._engine.dispose()
            raise

    def note(
        self,
        register: str,
        request: str,
        kind: str,
        digest: bytes,
        context: Mapping[str, Any],
        reference: str = "",
    ) -> Message | None:
        """Keep a message; the one that stands against it when there is one: the same id
        within UNIQUE_S, or the same words within KEPT_S. UserError: the disk does not keep it."""
        now = self.now()
        try:
            with Session(self._engine) as session, session.begin():
                known = session.scalars(
                    select(_Message)
                    .where(_Message.register == register, _Message.digest == digest)
                    .order_by(_Message.id.desc())
                ).first()
                if known is None:
                    known = self._latest(session, register, request, now - UNIQUE_S)
                if known is not None:
                    return _message(known)
                session.add(
                    _Message(
                        register=register,
                        request=request,
                        kind=kind,
                        digest=digest,
                        seen=now,
                        context=json.dumps(dict(context)),
                        answer="",
                        reference=reference,
                        begun=False,
                    )
                )
        except DatabaseError as error:
            raise UserError(f"the register's message cannot be kept: {error.orig}") from error
        return None

    def find(self, register: str, request: str) -> Message | None:
        """The last message of that id."""
        with Session(self._engine) as session:
            row = self._latest(session, register, request, 0)
            return None if row is None else _message(row)

    def of_reference(self, reference: str) -> Message | None:
        """The message that the terminal knows by that reference."""
        with Session(self._engine) as session:
            row = session.scalars(
                select(_Message).where(_Message.reference == reference)
            ).one_or_none()
            return None if row is None else _message(row)

    def began(self, reference: str) -> None:
        """Keep that the terminal was heard to begin this payment. UserError."""
        self._change(reference, _Message.begun.is_(False), begun=True)

    def settle(self, reference: str, answer: Mapping[str, Any]) -> None:
        """Keep how this payment's message was answered, for ever. UserError."""
        self._change(reference, _Message.answer == "", answer=json.dumps(dict(answer)))

    def _change(self, reference: str, when: ColumnElement[bool], **values: Any) -> None:
        try:
            with Session(self._engine) as session, session.begin():
                session.execute(
                    update(_Message).where(_Message.reference == reference, when).values(**values)
                )
        except DatabaseError as error:
            raise UserError(f"the register's answer cannot be kept: {error.orig}") from error

    def unsettled(self, kind: str, most: int = 8) -> list[Message]:
        """The oldest messages of this kind within UNIQUE_S that are not settled."""
        with Session(self._engine) as session:
            rows = session.scalars(
                select(_Message)
                .where(
                    _Message.kind == kind,
                    _Message.answer == "",
                    _Message.seen > self.now() - UNIQUE_S,
                )
                .order_by(_Message.id)
                .limit(most)
            )
            return [_message(row) for row in rows]

    def close(self) -> None:
        """Give the file back."""
        self._engine.dispose()

    @staticmethod
    def _latest(session: Session, register: str, request: str, since: int) -> _Message | None:
        return session.scalars(
            select(_Message)
            .where(
                _Message.register == register,
                _Message.request == request,
                _Message.seen > since,
            )
            .order_by(_Message.id.desc())
        ).first()


def _message(row: _Message) -> Message:
    return Message(
        row.register,
        row.request,
        row.kind,
        row.digest,
        row.seen,
        json.loads(row.context),
        json.loads(row.answer) if row.answer else {},
        row.reference,
        row.begun,
    )
