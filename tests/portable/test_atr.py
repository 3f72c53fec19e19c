"""Answer to reset: what is taken apart, what is rejected (EMV 4.4 Book 1, 8)."""

from firmware.buses import atr


def _refused(text: str) -> str:
    try:
        atr.parse(bytes.fromhex(text))
    except atr.AtrError as error:
        return str(error)
    return "accepted"


def test_basic_t0() -> None:
    found = atr.parse(bytes.fromhex("3B6500004F50454E54"))
    assert found.protocols == [0]
    assert found.protocol() == 0
    assert found.historical == b"OPENT"
    assert found.interface == [("TB1", 0), ("TC1", 0)]


def test_t1_with_check_character() -> None:
    found = atr.parse(bytes.fromhex("3BE500008131FE454F50454E54AE"))
    assert found.protocols == [1, 1]
    assert found.protocol() == 1
    assert found.interface[-2:] == [("TA3", 0xFE), ("TB3", 0x45)]


def test_t0_and_t1_offered_needs_a_check_character() -> None:
    body = bytes.fromhex("B0110080 01".replace(" ", ""))
    check = 0
    for byte in body:
        check ^= byte
    assert atr.parse(b"\x3b" + body + bytes((check,))).protocols == [0, 1]
    assert "announces" in _refused("3B" + body.hex())


def test_nothing_but_t0() -> None:
    assert atr.parse(b"\x3f\x00").protocols == [0]


def test_refusals_name_the_fault() -> None:
    assert _refused("") == "ATR of 0 bytes"
    assert _refused("3B") == "ATR of 1 bytes"
    assert "TS 0x3a" in _refused("3A00")
    assert "ends before TB1" in _refused("3B60")
    assert "ends before TC1" in _refused("3B6000")
    assert "announces" in _refused("3B6500004F50454E")  # a historical character is missing
    assert "announces" in _refused("3B6500004F50454E5400")  # one too many
    assert "check character" in _refused("3BE500008131FE454F50454E54AF")
    assert "T=14" in _refused("3B800E")
    assert "at most" in _refused("3B" + "00" * 33)


def test_every_cut_of_an_answer_is_refused() -> None:
    whole = bytes.fromhex("3BE500008131FE454F50454E54AE")
    for length in range(len(whole)):
        assert _refused(whole[:length].hex()) != "accepted"


def test_every_flipped_bit_of_a_checked_answer_is_refused() -> None:
    whole = bytes.fromhex("3BE500008131FE454F50454E54AE")
    for place in range(1, len(whole)):
        for bit in range(8):
            bad = bytearray(whole)
            bad[place] ^= 1 << bit
            assert _refused(bytes(bad).hex()) != "accepted"
