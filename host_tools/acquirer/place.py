"""Where the test bank keeps its books and its root between runs."""

import os
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from host_tools.acquirer.bank import Bank
from host_tools.acquirer.issuer import DeckData
from host_tools.acquirer.ledger import Ledger, open_engine
from host_tools.acquirer.pki import SERVER_NAME, Authority, server_context
from host_tools.acquirer.rules import Rules
from host_tools.errors import UserError


def default_folder() -> Path:
    """``$OPENTILL_STATE/acquirer``, else under XDG's data folder."""
    stated = os.environ.get("OPENTILL_STATE")
    if stated:
        return Path(stated) / "acquirer"
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "opentill" / "acquirer"


@dataclass
class Place:
    """A bank's folder: ``books.sqlite``, ``root.pem``, ``root.key``."""

    folder: Path
    ledger: Ledger
    authority: Authority

    @classmethod
    def open(cls, folder: Path, create: bool = True) -> "Place":
        """Open the folder, made if new and ``create``. UserError."""
        if not (folder / "root.pem").exists():
            if not create:
                raise UserError(f"{folder} holds no test bank; enrol a terminal or run it first")
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                Authority.create().save(folder)
            except OSError as error:
                raise UserError(f"{folder} cannot be made: {error}") from error
        ledger = Ledger(open_engine(f"sqlite:///{folder / 'books.sqlite'}"))
        return cls(folder, ledger, Authority.load(folder))

    def close(self) -> None:
        """Give the database back."""
        self.ledger.close()

    def bank(self, deck: DeckData, rules: Rules, sign_declines: bool = True) -> Bank:
        """The bank on the wall clock."""
        return Bank(self.ledger, deck, rules, now, sign_declines=sign_declines)

    def context(self, host: str) -> ssl.SSLContext:
        """A server context for ``host``, with a certificate made for this run."""
        names = [SERVER_NAME, "localhost", "127.0.0.1", "::1"]
        if host not in names and host not in ("0.0.0.0", "::"):
            names.append(host)
        return server_context(self.authority, self.authority.issue_server(tuple(names)))


def now() -> int:
    """Unix seconds of the wall clock."""
    return int(time.time())
