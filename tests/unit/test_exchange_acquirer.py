"""The terminal's exchange against the test bank: TLS, MAC, every misbehaviour.

Two authors' codecs, MACs and TLS ends meet on virtual time; only the network
chip stands between them.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from firmware.buses.wire_net import WireNet
from firmware.drivers.soft_vault import SoftVault
from firmware.drivers.tls_link import TlsLink
from firmware.hal.network import TlsConfig
from firmware.payment.emv import tlv
from firmware.payment.host import messages, unionpay, verdicts
from firmware.payment.host.exchange import Answer, HostExchange, HostParams, NoAnswer
from firmware.payment.host.iso8583 import Message
from firmware.services import provisioning
from firmware.services.provision import Provision
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.emulator import deck as deck_file
from host_tools.emulator.chips.net import NetChip
from tests.conformance.test_network import ChipWire
from tests.support import virtual_time
from tests.support.acquirer_client import NOW, card_objects
from tests.support.handheld import BankEnd
from tests.support.memory_files import MemoryFiles
from tests.support.vault_parts import SeededEntropy

SERIAL = "TEST0001"
#: A card that asks for no PIN.
CARD = "no-cvm"
KEYS = json.loads((Path(__file__).resolve().parents[2] / "boards/test_keys.json").read_text())


class Terminal:
    """Just enough of one: vault, provisioning, exchange."""

    def __init__(self, bank: InProcessAcquirer, provision: Provision, vault: SoftVault) -> None:
        self.bank = bank
        self.provision = provision
        self.vault = vault
        self.ids = provision.merchant.terminal_id, provision.merchant.merchant_id
        clock = asyncio.get_running_loop().time
        self.chip = NetChip(lambda: int(clock() * 1e6), lambda host, port: BankEnd(bank.connect()))
        host = provision.host
        self.exchange = HostExchange(
            TlsLink(WireNet(ChipWire(self.chip))),
            self.tls,
            vault,
            HostParams(
                host.host,
                host.port,
                host.tpdu,
                host.header,
                unionpay.codec(),
                host.mac_algorithm,
                30_000,
            ),
        )
        self.atc = 0

    async def tls(self) -> TlsConfig:
        host, client = self.provision.host, self.provision.client
        passphrase = await self.vault.tls_passphrase()
        return TlsConfig(host.trust, host.server_name, client.chain, client.key, passphrase)

    async def sign_in(self) -> Answer:
        code = self.provision.host.key_scheme
        request = messages.sign_in(1, 0, *self.ids, code, "01 ")
        answer = await self.exchange.exchange(request, False)
        assert isinstance(answer, Answer)
        assert verdicts.accepted(answer)
        await self.vault.install_working_keys(answer.message.data(62), 1)
        return answer

    def sale(self, stan: int, amount: int, partial: bool = False) -> Message:
        self.atc += 1
        account = next(row for row in self.bank.deck.accounts() if row.card == CARD)
        objects = {
            int(tag, 16): value
            for tag, value in card_objects(account, amount, self.atc, "0000008000").items()
        }
        return messages.sale(
            stan=stan,
            batch=1,
            amount=amount,
            currency=156,
            terminal_id=self.ids[0],
            merchant_id=self.ids[1],
            pan=account.pan,
            csn=int(account.csn),
            expiry=account.expiry,
            emv=objects,
            partial=partial,
        )

    async def send(self, request: Message) -> "Answer | NoAnswer":
        outcome = await self.exchange.exchange(request, True)
        assert isinstance(outcome, Answer | NoAnswer)
        return outcome

    def reversal(self, sale: Message, reason: str) -> Message:
        return messages.reversal(
            stan=int(sale.text(11)),
            batch=1,
            amount=int(sale.text(4)),
            currency=156,
            terminal_id=self.ids[0],
            merchant_id=self.ids[1],
            reason=reason,
            processing=sale.text(3),
            entry=sale.text(22),
            condition=sale.text(25),
            kind="22",
            pan=sale.text(2),
            csn=int(sale.text(23)),
            emv={node.tag: node.value for node in tlv.parse(sale.data(55))},
        )


Talk = Callable[[Terminal], Coroutine[Any, Any, None]]


def with_terminal(talk: Talk, **wishes: Any) -> None:
    """Enrol, provision, and run ``talk`` on virtual time."""

    async def main() -> None:
        bank = InProcessAcquirer(deck_file.load(), now=lambda: NOW)
        try:
            bundle, factory = bank.enrol(SERIAL, **wishes)
            files = MemoryFiles()
            await files.replace("factory.cbor", factory)
            vault = SoftVault(files, SeededEntropy())
            await vault.open()
            assert await provisioning.factory_install(files, vault, SERIAL)
            trust = {"provisioning_key": KEYS["provisioning_public"], "test": True}
            provision = provisioning.check(bundle, trust, SERIAL)
            await provisioning.install(vault, provision)
            terminal = Terminal(bank, provision, vault)
            await terminal.sign_in()
            await talk(terminal)
            assert bank.ledger.inconsistencies() == []
        finally:
            bank.close()

    virtual_time.run(main())


def test_an_approved_sale_and_its_reversal() -> None:
    async def talk(terminal: Terminal) -> None:
        sale = terminal.sale(2, 1200)
        answer = await terminal.send(sale)
        assert isinstance(answer, Answer)
        assert verdicts.payment(sale, answer).kind == "approved"
        assert terminal.bank.approved_total() == 1200
        for _ in range(2):
            answer = await terminal.send(terminal.reversal(sale, "98"))
            assert isinstance(answer, Answer)
            assert verdicts.advice(answer) == "done"
        assert terminal.bank.approved_total() == 0

    with_terminal(talk)


def test_echo_and_sign_out() -> None:
    async def talk(terminal: Terminal) -> None:
        for request in (
            messages.echo(2, 1, *terminal.ids),
            messages.sign_out(3, 1, *terminal.ids),
        ):
            answer = await terminal.exchange.exchange(request, False)
            assert isinstance(answer, Answer)
            assert verdicts.accepted(answer)

    with_terminal(talk)


@pytest.mark.parametrize(
    ("rule", "argument", "reason"),
    [
        ("lose", {}, "timeout"),
        ("drop", {}, "timeout"),
        ("late", {"ms": 40_000}, "timeout"),
        ("close", {}, "lost"),
        ("garble", {}, "garbled"),
        ("wrong_stan", {}, "timeout"),
    ],
)
def test_no_usable_answer_leaves_a_debt_that_a_reversal_settles(
    rule: str, argument: dict[str, Any], reason: str
) -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.bank.rule(rule, **argument)
        sale = terminal.sale(2, 1200)
        outcome = await terminal.send(sale)
        assert isinstance(outcome, NoAnswer)
        assert outcome.reason == reason
        assert outcome.skipped == (rule == "wrong_stan")
        answer = await terminal.send(terminal.reversal(sale, "98"))
        assert isinstance(answer, Answer)
        assert verdicts.advice(answer) == "done"
        assert terminal.bank.approved_total() == 0

    with_terminal(talk)


@pytest.mark.parametrize(
    ("rule", "argument", "kind", "reverse"),
    [
        ("wrong_mac", {}, "unusable", "A0"),
        ("missing_mac", {}, "unusable", "A0"),
        ("wrong_amount", {}, "unusable", "96"),
        ("partial", {"percent": 50}, "unusable", "96"),
        ("decline", {"code": "61"}, "declined", ""),
        ("refuse", {"code": "A0"}, "declined", ""),
        ("split", {"ms": 5}, "approved", ""),
        ("duplicate", {}, "approved", ""),
        ("late", {"ms": 20_000}, "approved", ""),
    ],
)
def test_every_other_misbehaviour_has_its_verdict(
    rule: str, argument: dict[str, Any], kind: str, reverse: str
) -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.bank.rule(rule, **argument)
        sale = terminal.sale(2, 1200)
        answer = await terminal.send(sale)
        assert isinstance(answer, Answer)
        verdict = verdicts.payment(sale, answer)
        assert (verdict.kind, verdict.reverse) == (kind, reverse)
        assert verdict.sign_in == (rule == "refuse")

    with_terminal(talk)


def test_partial_approval_where_it_was_offered() -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.bank.rule("partial", percent=50)
        sale = terminal.sale(2, 1200, partial=True)
        answer = await terminal.send(sale)
        assert isinstance(answer, Answer)
        verdict = verdicts.payment(sale, answer)
        assert (verdict.kind, verdict.amount) == ("partial", 600)

    with_terminal(talk)


@pytest.mark.parametrize("silently", [False, True])
def test_a_line_cut_at_any_byte_of_the_request(silently: bool) -> None:
    """Whatever the cut, the bank's ledger agrees once the debt is settled."""

    async def talk(terminal: Terminal) -> None:
        terminal.chip.cut_silently = silently
        for place, cut in enumerate((0, 1, 50, 200, 330, 400)):
            sale = terminal.sale(2 + place, 1200)
            armed: list[int] = []

            async def arm(cut: int = cut, armed: list[int] = armed) -> None:
                terminal.chip.cut_after_sent = cut
                armed.append(cut)

            outcome = await terminal.exchange.exchange(sale, True, arm)
            terminal.chip.cut_after_sent = None
            assert armed == [cut]
            if cut == 0 and not silently:
                assert outcome.kind == "not_sent"
                assert terminal.bank.approved_total() == 0
            elif outcome.kind != "answer":
                assert outcome.kind == "no_answer"
                answer = await terminal.send(terminal.reversal(sale, "98"))
                assert isinstance(answer, Answer)
                assert verdicts.advice(answer) == "done"
                assert terminal.bank.approved_total() == 0

    with_terminal(talk)


def test_a_terminal_that_the_bank_did_not_enrol_is_refused_before_anything_is_sent() -> None:
    async def talk(terminal: Terminal) -> None:
        other = InProcessAcquirer(deck_file.load(), now=lambda: NOW)
        try:
            terminal.bank = other
            terminal.chip.dial = lambda host, port: BankEnd(other.connect())
            outcome = await terminal.exchange.exchange(terminal.sale(2, 1200), True)
            assert outcome.kind == "not_sent"
            assert other.transactions() == []
        finally:
            other.close()

    with_terminal(talk)
