"""A terminal in a few lines, for tests of the bank: pyiso8583 and pyemv, no firmware."""

import zlib
from dataclasses import dataclass
from typing import Any

from psec import des, pinblock
from pyemv import ac, kd

from host_tools.acquirer.bank import Action, Bank, PeerInfo
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.acquirer.keys import compute_mac
from host_tools.acquirer.ledger import Terminal
from host_tools.acquirer.wire import Message, build, parse

#: 2026-03-04 05:06:07 UTC, 13:06:07 in Shanghai.
NOW = 1_772_600_767

MERCHANT = "TESTMERCHANT001"


def card_objects(account: Any, amount: int, atc: int, tvr: str = "0000048000") -> dict[str, bytes]:
    """Field 55 of a sale with a genuine request cryptogram (docs/deck.md)."""
    objects = {
        "9F27": bytes.fromhex("80"),
        "9F10": bytes.fromhex("07010103A0000001"),
        "9F37": (atc * 2654435761 % 2**32).to_bytes(4, "big"),
        "9F36": atc.to_bytes(2, "big"),
        "95": bytes.fromhex(tvr),
        "9A": bytes.fromhex("260304"),
        "9C": b"\0",
        "9F02": bytes.fromhex(f"{amount:012d}"),
        "5F2A": bytes.fromhex("0156"),
        "82": bytes.fromhex("7C00"),
        "9F1A": bytes.fromhex("0156"),
        "9F03": bytes(6),
        "9F34": bytes.fromhex("020000"),
    }
    signed = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36")
    data = b"".join(objects[tag] for tag in signed) + objects["9F10"][3:7]
    objects["9F26"] = ac.generate_ac(session_key(account, atc), data)
    return objects


def session_key(account: Any, atc: int) -> bytes:
    """Common session key of the card's cryptograms."""
    card_key = kd.derive_icc_mk_a(account.imk["ac"], account.pan, account.csn)
    return kd.derive_common_sk(card_key, atc.to_bytes(2, "big") + bytes(6))


def tlv(objects: dict[str, bytes]) -> bytes:
    """Objects one after another."""
    return b"".join(
        bytes.fromhex(tag) + bytes([len(value)]) + value for tag, value in objects.items()
    )


@dataclass
class Answer:
    """The bank's actions and the first message among them."""

    actions: list[Action]

    @property
    def message(self) -> Message:
        return parse(self.actions[0].data[2:])

    @property
    def code(self) -> str:
        return self.message.get(39)


class Client:
    """One enrolled terminal that talks to ``Bank.handle`` directly."""

    def __init__(self, acquirer: InProcessAcquirer, serial: str = "T1", **wishes: Any) -> None:
        self.acquirer = acquirer
        self.bank: Bank = acquirer.bank
        made = acquirer.enrolment(serial, **wishes)
        self.terminal_id = made.terminal_id
        self.serial = serial
        self.peer = PeerInfo(serial, "test")
        self.stan = 0
        self.batch = 1
        # Terminals of one test must not show the bank the same cryptogram.
        self.atc = zlib.crc32(serial.encode()) % 50_000
        with acquirer.ledger.session() as session:
            row = session.get(Terminal, made.terminal_id)
            assert row is not None
            self.tmk = bytes.fromhex(row.tmk)
            self.algorithm = row.mac_algorithm
        self.pin_key = b""
        self.mac_key = b""

    def account(self, card: str) -> Any:
        return next(a for a in self.acquirer.deck.accounts() if a.card == card)

    def next_stan(self) -> str:
        self.stan += 1
        return f"{self.stan:06d}"

    def send(self, message: Message, mac: bool = True, spoil: bool = False) -> Answer:
        """Sign, send, and check the answer's MAC when it has one."""
        if mac:
            message.fields[64] = "00" * 8
            build(message)
            value = compute_mac(self.algorithm, self.mac_key, message.mac_input)
            message.fields[64] = (bytes(8) if spoil else value).hex().upper()
        return Answer(self.bank.handle(build(message), self.peer))

    def mac_state(self, message: Message) -> str:
        """ "ok", "bad" or "missing"."""
        if 64 not in message.fields:
            return "missing"
        right = compute_mac(self.algorithm, self.mac_key, message.mac_input)
        return "ok" if right == message.binary(64) else "bad"

    def base(self, mti: str, sixty: str, **fields: str) -> Message:
        known = {11: self.next_stan(), 41: self.terminal_id, 42: MERCHANT, 60: sixty}
        known.update({int(key[1:]): value for key, value in fields.items()})
        return Message(mti, known, bytes.fromhex("6000030000"), bytes.fromhex("603100310000"))

    def sign_in(self, code: str = "003") -> Answer:
        """Sign in and take the keys over."""
        answer = self.send(self.base("0800", f"00{self.batch:06d}{code}", f63="001"), mac=False)
        if answer.code != "00":
            return answer
        block = answer.message.binary(62)
        size = 8 if code == "001" else 16
        self.pin_key = self._unwrap(block[:size], block[size : size + 4])
        rest = block[size + 4 :]
        wrapped = rest[:size]
        if size == 16 and wrapped[8:] == bytes(8):
            wrapped = wrapped[:8]
        self.mac_key = self._unwrap(wrapped, rest[size : size + 4])
        self.batch = int(answer.message.batch)
        return answer

    def _unwrap(self, wrapped: bytes, check: bytes) -> bytes:
        key = des.decrypt_tdes_ecb(self.tmk + self.tmk[:8], wrapped)
        full = key * 3 if len(key) == 8 else key + key[:8]
        assert des.encrypt_tdes_ecb(full, bytes(8))[:4] == check
        return key

    def sale_message(
        self, card: str = "approve", amount: int = 1000, pin: str | None = "", **change: Any
    ) -> Message:
        """A chip sale with online PIN; ``pin`` "" is the right one, None no PIN."""
        account = self.account(card)
        self.atc += 1
        tvr = "0000048000" if pin is not None else "0000008000"
        objects = card_objects(account, amount, self.atc, tvr)
        objects.update(change.get("objects", {}))
        message = self.base(
            "0200",
            f"22{self.batch:06d}00050",
            f2=account.pan,
            f3="000000",
            f4=f"{amount:012d}",
            f14=account.expiry,
            f22="051" if pin is not None else "052",
            f23=f"{int(account.csn):03d}",
            f25="00",
            f49="156",
            f55=tlv(objects).hex().upper(),
        )
        if pin is not None:
            clear = pinblock.encode_pinblock_iso_0(pin or account.pin, account.pan)
            full = self.pin_key * 3 if len(self.pin_key) == 8 else self.pin_key + self.pin_key[:8]
            message.fields[26] = "12"
            message.fields[52] = des.encrypt_tdes_ecb(full, clear).hex().upper()
            message.fields[53] = "2600000000000000"
        message.fields.update(change.get("fields", {}))
        for number in change.get("without", ()):
            message.fields.pop(number, None)
        return message

    def sale(self, card: str = "approve", amount: int = 1000, **change: Any) -> Answer:
        return self.send(self.sale_message(card, amount, **change))

    def reversal_of(self, sale: Message, reason: str = "98", **change: str) -> Message:
        """A 0400 for ``sale``: its field 11, batch and amounts."""
        kept = (2, 3, 4, 11, 14, 22, 23, 25, 41, 42, 49, 60)
        fields = {number: sale.fields[number] for number in kept if number in sale.fields}
        fields[39] = reason
        fields[61] = f"{sale.batch}{sale.get(11)}"
        fields.update({int(key[1:]): value for key, value in change.items()})
        return Message("0400", fields, sale.tpdu, sale.header)
