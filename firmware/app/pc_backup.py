"""Whose ledger a paired PC backs up, and what the terminal does once one was restored."""

from firmware.app.terminal import Terminal
from firmware.hal.clock import ClockError
from firmware.services.link_backup import LinkBackup, Owner
from firmware.services.self_test import Result

_CONFIRM = "error.journal_restored"


class _Owner(Owner):
    def __init__(self, t: Terminal) -> None:
        self._t = t
        self.serial = str(t.board["serial"])
        if t.provision is not None:
            self.terminal = t.provision.merchant.terminal_id
            self.merchant = t.provision.merchant.merchant_id

    def busy(self) -> bool:
        screen = self._t.view.screen
        return screen is None or screen.name != "idle"

    async def now(self) -> int:
        try:
            return await self._t.now()
        except ClockError:
            return 0

    def restored(self) -> None:
        t = self._t
        if _CONFIRM not in t.blocked:
            t.blocked.append(_CONFIRM)
        t.results = [one for one in t.results if one.kind != "journal"]
        t.results.append(Result("journal", "warn", _CONFIRM, "restored from a backup"))


def backup(t: Terminal) -> LinkBackup:
    """What serves ``backup`` and ``restore``."""
    devices = t.devices
    return LinkBackup(
        t.journal, devices.files, devices.entropy, devices.vault.link_key, _Owner(t)
    )  # fmt: skip
