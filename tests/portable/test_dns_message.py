"""Name servers' answers: which are taken, and which are refused (RFC 1035, 4)."""

from firmware.buses import dns_message as dns

NAME = "pay.bank.test"
QUESTION = b"\3pay\4bank\4test\0"
#: Where the question's name begins, as a pointer.
SAME = b"\xc0\x0c"


def _head(ident: int = 7, flags: int = 0x8180, records: int = 1, questions: int = 1) -> bytes:
    words = (ident, flags, questions, records, 0, 0)
    return b"".join([word.to_bytes(2, "big") for word in words])


def _record(owner: bytes, kind: int, data: bytes, ttl_s: int = 60, group: int = 1) -> bytes:
    fixed = kind.to_bytes(2, "big") + group.to_bytes(2, "big") + ttl_s.to_bytes(4, "big")
    return owner + fixed + len(data).to_bytes(2, "big") + data


def _answer(*records: bytes, kind: int = 1, **head: int) -> bytes:
    head.setdefault("records", len(records))
    asked = QUESTION + kind.to_bytes(2, "big") + b"\0\1"
    return _head(**head) + asked + b"".join(records)


def _says(data: bytes, kind: int = 1) -> str:
    try:
        found = dns.parse(data, 7, NAME, kind)
    except dns.DnsError as error:
        return type(error).__name__ + ": " + str(error)
    return " ".join(found.addresses) + " for " + str(found.ttl_s)


IP = b"\xc0\x00\x02\x01"
GOOD = _answer(_record(SAME, 1, IP))


def test_a_question() -> None:
    wanted = bytes.fromhex("0007 0100 0001 0000 0000 0000".replace(" ", ""))
    assert dns.query(7, "Pay.Bank.test.", 1) == wanted + QUESTION + b"\0\1\0\1"
    for wrong in ("", ".", "a..b", "-" * 64, ".".join(["a" * 49] * 6), "b\u00e4nk.test", "a b"):
        try:
            dns.query(7, wrong, 1)
        except ValueError:
            continue
        raise AssertionError(wrong)


def test_addresses_are_taken() -> None:
    assert _says(GOOD) == "192.0.2.1 for 60"
    two = _answer(_record(SAME, 1, IP), _record(SAME, 1, b"\n\0\0\1", 30), _record(SAME, 1, IP))
    assert _says(two) == "192.0.2.1 10.0.0.1 for 30"
    six = _answer(_record(SAME, 28, b"\x20\1\r\xb8" + bytes(11) + b"\1"), kind=28)
    assert _says(six, 28) == "2001:db8:0:0:0:0:0:1 for 60"
    assert _says(_answer()) == " for 0"  # the name has none of this kind
    assert _says(GOOD.replace(b"\3pay", b"\3PaY")) == "192.0.2.1 for 60"
    assert _says(_answer(_record(SAME, 1, IP, 0x80000001))) == "192.0.2.1 for 0"


def test_other_names_are_followed() -> None:
    edge = b"\4edge\xc0\x10"  # edge.bank.test
    there = b"\4edge\4bank\4test\0"
    answer = _answer(_record(SAME, 5, edge, 20), _record(there, 1, IP))
    assert _says(answer) == "192.0.2.1 for 20"
    turned = _answer(_record(there, 1, IP), _record(SAME, 5, edge, 20))
    assert _says(turned) == "192.0.2.1 for 20"


def test_what_is_no_answer_to_our_question_is_refused() -> None:
    for wrong in (
        _answer(_record(SAME, 1, IP), ident=8),
        _answer(_record(SAME, 1, IP), flags=0x0100),  # a question
        _answer(_record(SAME, 1, IP), flags=0x9180),  # an inverse query's
        _answer(_record(SAME, 1, IP), questions=2),
        _answer(_record(SAME, 1, IP), kind=28),
        GOOD.replace(b"\3pay", b"\3bay"),
    ):
        assert _says(wrong).startswith("BadAnswer"), wrong
    assert _says(_answer(_record(SAME, 1, IP), flags=0x8380)) == "BadAnswer: it is truncated"
    assert _says(_answer(flags=0x8183)) == "NoSuchName: " + NAME
    assert _says(_answer(flags=0x8182)) == "ServerFailed: code 2"
    assert _says(_answer(flags=0x8185)) == "ServerFailed: code 5"


def test_somebody_elses_addresses_are_not_ours() -> None:
    other = b"\4evil\4test\0"
    assert _says(_answer(_record(other, 1, IP))) == " for 0"
    assert _says(_answer(_record(SAME, 1, IP, group=3))) == " for 0"
    # An address beside another name of ours must belong to that name.
    edge = b"\4edge\xc0\x10"
    assert _says(_answer(_record(SAME, 5, edge), _record(other, 1, IP))) == " for 0"


def test_looping_and_lying_lengths_end() -> None:
    at = len(_answer(records=1))  # where the first record's name stands
    itself = (0xC000 | at).to_bytes(2, "big")
    assert "pointer" in _says(_answer(_record(itself, 1, IP)))
    ahead = (0xC000 | (at + 2)).to_bytes(2, "big")
    assert "pointer" in _says(_answer(_record(ahead, 1, IP)))
    # A label, then a pointer to that label: it goes back, but never ends.
    assert "pointer" in _says(_answer(_record(b"\1a" + itself, 1, IP)))
    assert "pointer" in _says(_answer(_record(b"\xc0\x00", 1, IP)))  # into the header
    assert "unknown kind" in _says(_answer(_record(b"\x40", 1, IP)))
    assert "go round" in _says(_answer(_record(SAME, 5, SAME)))
    there = b"\4edge\4bank\4test\0"
    rounds = _answer(_record(SAME, 5, there), _record(there, 5, SAME))
    assert "go round" in _says(rounds)
    assert "fill" in _says(_answer(_record(SAME, 5, b"\xc0\x10\0")))
    assert "5 bytes" in _says(_answer(_record(SAME, 1, IP + b"\0")))
    assert "records" in _says(_answer(_record(SAME, 1, IP), records=65))
    assert "cut short" in _says(_answer(_record(SAME, 1, IP), records=2))
    assert "bytes" in _says(GOOD + bytes(512))
    long = b"".join([b"\x3f" + b"a" * 63] * 4) + b"\0"
    assert "too long" in _says(_answer(_record(long, 1, IP)))


def test_every_cut_and_every_changed_byte_ends() -> None:
    chain = _answer(_record(SAME, 5, b"\4edge\xc0\x10", 20), _record(SAME, 1, IP))
    for good in (GOOD, chain):
        for length in range(len(good)):
            assert _says(good[:length]).startswith("BadAnswer"), length
        for at in range(len(good)):
            for byte in (0, 1, 0x3F, 0x40, 0xC0, 0xFF, good[at] ^ 0x80):
                _says(good[:at] + bytes((byte,)) + good[at + 1 :])
