"""A card that keeps what it answers, as ``till emv replay`` takes it."""

from typing import Any

from firmware.payment.emv import tlv
from tests.portable import emv_card
from tests.portable.emv_card import FakeCard, drive


class Recorder(FakeCard):
    """A card that writes down what it answers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps: list[dict[str, str]] = []

    def exchange(self, command: bytes) -> tuple[bytes, int]:
        data, sw = super().exchange(command)
        self.steps.append({"c": command.hex(), "r": data.hex() + f"{sw:04x}"})
        return data, sw

    def verify(self) -> int:
        sw = super().verify()
        self.steps.append({"c": "0084000000", "r": "11223344556677889000"})
        self.steps.append({"c": "0020008008241234ffffffffff", "r": f"{sw:04x}"})
        return sw


def recorded(card: Recorder) -> dict[str, Any]:
    """A recording of this card that replays without a mismatch."""
    run = drive(card)
    assert run.outcome.kind == "approved"
    return {
        "interface": "contact",
        "steps": card.steps,
        "transaction": {"9F02": "000000012345", "9F21": "034100", "9F41": "00000001"},
        "terminal": {"9F1A": "0156", "9F1E": b"00000000".hex()},
        "capks": [
            {
                "rid": emv_card.RID.hex(),
                "index": "57",
                "modulus": f"{emv_card.CA_N:0256x}",
                "exponent": "010001",
            }
        ],
        "aids": [
            {
                "aid": emv_card.AID.hex(),
                "partial": True,
                "tac_default": "D84000A800",
                "tac_online": "D84004F800",
                "tac_denial": "0010000000",
                "floor_limit": 10000,
                "version": "008c",
            }
        ],
        "host": {"8A": "3030", "91": "11223344556677883030"},
        "random": "5a5a5a5a",
        "date": "261121",
    }


def oda_case(method: str) -> dict[str, Any]:
    """What ``till emv oda`` takes, of such a card; its static data end with the AIP."""
    card = FakeCard(method)
    run = drive(card)
    assert run.outcome.kind == "approved"
    static = b"".join([tlv.encode(t, v) for t, v in sorted(card.static.items()) if v is not None])
    tags = {f"{t:X}": v.hex() for t, v in card.keys().items()}
    tags["5A"] = emv_card.PAN.hex()
    case: dict[str, Any] = {
        "rid": emv_card.RID.hex(),
        "capk": {"index": "57", "modulus": f"{emv_card.CA_N:0256x}", "exponent": "010001"},
        "tags": tags,
        "static_data": static.hex(),
    }
    if method == "DDA":
        signed = emv_card.sign(
            b"\x05\x01\x09\x08" + b"\x11" * 8, b"\x5a" * 4, emv_card.ICC_N, emv_card.ICC_D
        )
        tags["9F4B"] = signed.hex()
        case["dynamic_data"] = "5a" * 4
    return case
