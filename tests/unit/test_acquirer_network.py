"""The terminal's own network stack against the bank, over a loopback socket.

Bundle, vault, TLS link and exchange as on the device; real clock, so only
order and results are asserted.
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from firmware import aio
from firmware.buses.tcp_linux import TcpLinux
from firmware.drivers.soft_vault import SoftVault
from firmware.drivers.tls_link import TlsLink
from firmware.hal.network import TlsConfig
from firmware.payment.host import messages, unionpay
from firmware.payment.host.exchange import Answer, HostExchange, HostParams, NoAnswer, NotSent
from firmware.services import provisioning
from host_tools.acquirer.enrol import TestKeys
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.acquirer.server import AcquirerServer
from host_tools.emulator.deck import load
from tests.support.memory_files import MemoryFiles
from tests.support.vault_parts import SeededEntropy

TRUST = {"provisioning_key": TestKeys.load().provisioning_public.hex(), "test": True}


class Device:
    """A provisioned terminal without its screen."""

    def __init__(self, exchange: HostExchange, provision: Any, vault: SoftVault) -> None:
        self.exchange = exchange
        self.provision = provision
        self.vault = vault

    async def sign_in(self, stan: int = 1) -> Any:
        merchant, host = self.provision.merchant, self.provision.host
        request = messages.sign_in(
            stan, 1, merchant.terminal_id, merchant.merchant_id, host.key_scheme, "001"
        )
        return await self.exchange.exchange(request, mac=False)


async def device(bundle: bytes, factory: bytes, **change: Any) -> Device:
    files = MemoryFiles({"bundle.cbor": bundle, "factory.cbor": factory})
    vault = SoftVault(files, SeededEntropy())
    await vault.open()
    assert await provisioning.factory_install(files, vault, "DEV1")
    provision = await provisioning.load(files, TRUST, "DEV1")
    await provisioning.install(vault, provision)

    async def config() -> TlsConfig:
        return TlsConfig(
            provision.host.trust,
            change.get("server_name", provision.host.server_name),
            provision.client.chain,
            provision.client.key,
            await vault.tls_passphrase(),
        )

    params = HostParams(
        provision.host.host,
        provision.host.port,
        provision.host.tpdu,
        provision.host.header,
        unionpay.codec(),
        provision.host.mac_algorithm,
        provision.host.timeout_ms,
        attempts=1,
    )
    link = TlsLink(TcpLinux("lo"))
    return Device(HostExchange(link, config, vault, params), provision, vault)


@pytest.fixture
def acquirer() -> Iterator[InProcessAcquirer]:
    made = InProcessAcquirer(load())
    yield made
    made.close()


def served(acquirer: InProcessAcquirer, body: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        server = AcquirerServer(acquirer.bank, acquirer.context, port=0)
        await server.start()
        try:
            await body(server.port)
        finally:
            await server.stop()

    aio.run(main())


@pytest.mark.parametrize("profile", ["ecdsa", "rsa"])
@pytest.mark.parametrize(("code", "length"), [("001", 16), ("003", 16), ("003", 8), ("004", 16)])
def test_vault_takes_the_banks_keys(
    acquirer: InProcessAcquirer, profile: str, code: str, length: int
) -> None:
    async def body(port: int) -> None:
        made = acquirer.enrol(
            "DEV1", port=port, profile=profile, sign_in_code=code, mac_length=length
        )
        terminal = await device(*made)
        answer = await terminal.sign_in()
        assert isinstance(answer, Answer), vars(answer)
        assert answer.mismatch is None
        field = answer.message.fields[62]
        assert isinstance(field, bytes)
        await terminal.vault.install_working_keys(field, 1)
        assert await terminal.vault.key_set() == 1
        merchant = terminal.provision.merchant
        lost = messages.reversal(
            stan=7,
            batch=1,
            amount=100,
            currency=156,
            terminal_id=merchant.terminal_id,
            merchant_id=merchant.merchant_id,
            reason="98",
            processing="000000",
            entry="052",
            condition="00",
            kind="22",
        )
        reply = await terminal.exchange.exchange(lost, mac=True)
        assert isinstance(reply, Answer)
        assert (reply.message.text(39), reply.mac_state, reply.mismatch) == ("25", "ok", None)

    served(acquirer, body)


def test_another_server_name_is_refused(acquirer: InProcessAcquirer) -> None:
    async def body(port: int) -> None:
        made = acquirer.enrol("DEV1", port=port)
        terminal = await device(*made, server_name="another.opentill.test")
        assert isinstance(await terminal.sign_in(), NotSent)

    served(acquirer, body)


def test_another_bank_is_refused(acquirer: InProcessAcquirer) -> None:
    other = InProcessAcquirer(load())

    async def body(port: int) -> None:
        terminal = await device(*other.enrol("DEV1", port=port))
        assert isinstance(await terminal.sign_in(), NotSent)

    served(acquirer, body)
    other.close()


def test_misbehaviour_reaches_the_terminal(acquirer: InProcessAcquirer) -> None:
    async def body(port: int) -> None:
        terminal = await device(*acquirer.enrol("DEV1", port=port))
        for stan, kind in enumerate(("close", "garble"), 1):
            acquirer.rule(kind, mti="0800")
            reply = await terminal.sign_in(stan)
            assert isinstance(reply, NoAnswer), kind
        acquirer.rule("split", mti="0800", ms=0)
        assert isinstance(await terminal.sign_in(3), Answer)
        acquirer.rule("duplicate", mti="0800")
        assert isinstance(await terminal.sign_in(4), Answer)
        assert isinstance(await terminal.sign_in(5), Answer)

    served(acquirer, body)
