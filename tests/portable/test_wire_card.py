"""A card slot on a wire that answers by script: malformed and failing transfers."""

from firmware import aio
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_card import WireCardSlot

T0 = bytes.fromhex("3B6500004F50454E54")


class ScriptWire(Wire):
    """Answers per operation; None raises BusError."""

    def __init__(self, answers: "dict[int, tuple[bytes, int] | None]") -> None:
        self.answers = answers

    def transfer(self, bus: str, op: int, payload: bytes) -> "tuple[bytes, int]":
        assert bus == "slot"
        answer = self.answers[op]
        if answer is None:
            raise BusError("no answer")
        return answer


def _slot(power: "tuple[bytes, int] | None", present: bytes = b"\x01") -> WireCardSlot:
    return WireCardSlot(ScriptWire({1: (present, 0), 2: power, 3: power, 4: (b"", 0)}), "slot")


def _refused(coro: "object") -> str:
    try:
        aio.run(coro)  # type: ignore[arg-type]  # any coroutine
    except BusError as error:
        return str(error)
    return ""


def test_protocol_comes_from_the_answer_to_reset() -> None:
    assert aio.run(_slot((T0, 0)).power_on()) == (T0, 0)
    t1 = bytes.fromhex("3BE500008131FE454F50454E54AE")
    assert aio.run(_slot((t1, 900)).power_on()) == (t1, 1)


def test_bad_answers_to_reset() -> None:
    for answer in (b"", b"\x3b", b"\x00\x00", T0 + b"\x00"):
        assert "ATR" in _refused(_slot((answer, 0)).power_on())


def test_malformed_answers() -> None:
    for present in (b"", b"\x00\x00"):
        assert "malformed" in _refused(_slot((T0, 0), present).present())
    for answer in (b"", b"\x90"):
        assert "malformed" in _refused(_slot((answer, 0)).exchange(b"\x00\xa4\x04\x00\x00"))


def test_absent_card_fails_at_once() -> None:
    assert _refused(_slot(None, b"\x00").power_on()) == "no answer"
    assert _refused(_slot(None, b"\x00").exchange(b"\x00\xa4\x04\x00\x00")) == "no answer"


def test_present() -> None:
    assert aio.run(_slot(None, b"\x00").present()) is False
    assert aio.run(_slot(None, b"\x01").present()) is True
    aio.run(_slot(None).power_off())
