"""Settings by name: ``config_get`` and ``config_push`` (docs/link.md, Settings).

A push is decided by one durable write, of ``config.new``. From there on it is finished
whatever happens, at the next start if need be: each part of it can be done twice.
"""

from firmware import aio, cbor
from firmware.errors import TillError
from firmware.hal.files import NoSuchFile
from firmware.link import config_set
from firmware.link.services import BAD_ARGUMENTS, BUSY, SERVICE, CallRefused, NotOfTable, check
from firmware.payment.journal import records
from firmware.payment.journal.fold import MAX_SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from firmware.crypto.x25519 import StaticKey
    from firmware.hal.files import Files
    from firmware.hal.vault import Vault
    from firmware.link.config_set import ConfigSet
    from firmware.link.services import Schema
    from firmware.payment.journal.journal import Journal
    from firmware.services.link_calls import Call, Handler

    #: Roles of the pair with this static key, () for a stranger.
    RolesOf = Callable[[bytes], tuple[str, ...]]

PENDING, KEPT = "config.new", "config.cbor"
SLOT = "links"
#: The journal's name of the version in force.
VERSION = "config"
SIGNATURE, ANOTHER_VERSION = "signature", "version"
_MOST_FILE = 16384
_FILE: "Schema" = {
    1: ("version", "int", 1, (1 << 31) - 1, True),
    2: ("values", "map", 1, 64, True),
    3: ("before", "map", 1, 64, True),
    4: ("who", "text", 1, 32, True),
    5: ("kind", "text", 1, 16, True),
}
_KIND = "config 1"


class Group:
    """Settings that are kept in one place."""

    def names(self) -> "list[str]":
        """Those that this terminal has."""
        raise NotImplementedError

    def now(self, name: str) -> "Any":
        """The value in force."""
        raise NotImplementedError

    def complaint(self, name: str, value: "Any") -> str:
        """What is wrong with ``value``, "" for nothing."""
        raise NotImplementedError

    async def keep(self, values: "dict[str, Any]") -> None:
        """Make them durable, where the journal's SETTING records are not enough."""

    async def use(self, values: "dict[str, Any]") -> None:
        """From now on they count. Must not fail."""
        raise NotImplementedError


class LinkConfig:
    """``static`` gives the terminal's key; ``busy`` whether a payment may be at work."""

    def __init__(
        self,
        journal: "Journal",
        files: "Files",
        vault: "Vault",
        groups: "list[Group]",
        busy: "Callable[[], bool]",
        static: "Callable[[], Awaitable[StaticKey]]",
        roles_of: "RolesOf",
    ) -> None:
        self._journal = journal
        self._files = files
        self._vault = vault
        self._groups = groups
        self._busy = busy
        self._static = static
        self._roles_of = roles_of
        self._lock = aio.Lock()

    def handlers(self) -> "dict[str, Handler]":
        """By service."""
        return {"config_get": self.get, "config_push": self.push}

    @property
    def version(self) -> int:
        """Of the last push, 0 before the first."""
        found = self._journal.state.settings.get(VERSION, 0)
        return found if isinstance(found, int) else 0

    async def get(self, call: "Call") -> None:
        """The values in force, or those that the last push replaced."""
        async with self._lock:
            values: "dict[str, Any]" = {}
            if call.arguments.get(2, False):
                kept = await self._read(KEPT)
                if kept is not None and kept[1] == self.version:
                    values = kept[3]
            else:
                for group in self._groups:
                    for name in group.names():
                        values[name] = group.now(name)
            version = self.version
        for name in call.arguments[1] or sorted(values):
            if not isinstance(name, str) or name not in values:
                raise CallRefused(BAD_ARGUMENTS, {1: str(name)[:64]})
            await call.item({1: name, 2: values[name]})
        await call.end({1: version})

    async def push(self, call: "Call") -> None:
        """Take a set, all of it or nothing."""
        try:
            given = config_set.read(call.arguments[1])
        except NotOfTable as error:
            raise CallRefused(BAD_ARGUMENTS, {1: str(error)[:80]}) from None
        roles = call.roles if given.author == call.key else self._roles_of(given.author)
        if SERVICE not in roles or not given.proved(await self._static()):
            raise CallRefused(SIGNATURE)
        if self._busy():
            raise CallRefused(BUSY)
        await aio.protected(self._take(given))
        await call.end({1: given.version})

    async def _take(self, given: "ConfigSet") -> None:
        async with self._lock:
            await self._finish()
            if given.version != self.version + 1:
                raise CallRefused(ANOTHER_VERSION, {1: self.version})
            before: "dict[str, Any]" = {}
            for name in given.values:
                group = self._group(name)
                complaint = "there is none"
                if group is not None:
                    complaint = group.complaint(name, given.values[name])
                if group is None or complaint:
                    raise CallRefused(BAD_ARGUMENTS, {1: name + ": " + complaint})
                before[name] = group.now(name)
            names = set(self._journal.state.settings) | set(given.values) | {VERSION}
            if len(names) > MAX_SETTINGS:
                raise CallRefused(BAD_ARGUMENTS, {1: "more settings than are kept"})
            if self._journal.broken:
                raise records.JournalError(self._journal.broken)
            body = {1: given.version, 2: given.values, 3: before, 4: given.who, 5: _KIND}
            sealed = await self._vault.seal(SLOT, cbor.encode(body))
            await self._files.replace(PENDING, sealed)
            await self._finish()

    async def finish(self) -> None:
        """After a start: finish what a power cut left, if it left anything. TillError."""
        async with self._lock:
            await self._finish()

    async def _finish(self) -> None:
        pending = await self._read(PENDING)
        if pending is None:
            return
        values: "dict[str, Any]" = {}
        for name in pending[2]:
            if self._group(name) is not None:  # the board may have lost one since
                values[name] = pending[2][name]
        for group in self._groups:
            mine = self._of(group, values)
            if mine:
                await group.keep(mine)
        for name in sorted(values):
            body = {
                records.K_NAME: name,
                records.K_VALUE: values[name],
                records.K_WHO: pending[4],
            }
            await self._journal.append(records.SETTING, body, sync=False)
        body = {records.K_NAME: VERSION, records.K_VALUE: pending[1], records.K_WHO: pending[4]}
        await self._journal.append(records.SETTING, body)
        for group in self._groups:
            mine = self._of(group, values)
            if mine:
                await group.use(mine)
        await self._files.rename(PENDING, KEPT)
        await self._files.sync_folder()

    async def _read(self, name: str) -> "dict[int, Any] | None":
        """None if there is none, or it is not ours: then nothing is pending or to revert."""
        try:
            sealed = await self._files.read(name, 0, _MOST_FILE)
        except NoSuchFile:
            return None
        try:
            plain = await self._vault.unseal(SLOT, sealed)
            value: "Any" = cbor.decode(plain, 4, _MOST_FILE)
            check(_FILE, value)
        except TillError:
            return None
        return value if value[5] == _KIND else None

    def _group(self, name: str) -> "Group | None":
        for group in self._groups:
            if name in group.names():
                return group
        return None

    def _of(self, group: Group, values: "dict[str, Any]") -> "dict[str, Any]":
        names = group.names()
        return {name: values[name] for name in values if name in names}
