"""Offline data authentication: Book 2, 5 to 7; Book 3, 10.3. One test a check."""

from firmware.payment.emv import certificates, tlv
from firmware.payment.emv.certificates import OdaError
from firmware.payment.emv.config import Capk, ConfigError
from tests.portable import emv_card
from tests.portable.emv_card import (
    CA_D,
    CA_N,
    E65537,
    ICC_D,
    ICC_N,
    ISSUER_D,
    ISSUER_N,
    SIZE,
    FakeCard,
    aid_config,
    capk,
    config,
    drive,
    icc_certificate,
    issuer_certificate,
    sign,
    template,
)

TODAY = "20261121"
PAN = "6210940000000012"


def _clause(function, *arguments):
    try:
        function(*arguments)
    except OdaError as error:
        return error.clause
    return "valid"


def _issuer(certificate=None, remainder=None, exponent=E65537, pan=PAN, today=TODAY, revoked=()):
    made, rest = issuer_certificate()
    return _clause(
        certificates.issuer_key,
        capk(),
        made if certificate is None else certificate,
        rest if remainder is None else remainder,
        exponent,
        pan,
        today,
        set(revoked),
    )


def test_issuer_certificate_each_check():
    made, rest = issuer_certificate()
    assert _issuer() == "valid"
    assert _issuer(certificate=made[:-1]) == "B2 6.3 1"
    assert _issuer(certificate=made[:-1] + bytes((made[-1] ^ 1,))) in ("B2 6.3 2", "B2 6.3 3")
    plain = bytearray(pow(int.from_bytes(made, "big"), 65537, CA_N).to_bytes(SIZE, "big"))

    def altered(place, value):
        copy = bytearray(plain)
        copy[place] = value
        return pow(int.from_bytes(copy, "big"), CA_D, CA_N).to_bytes(SIZE, "big")

    assert _issuer(certificate=altered(SIZE - 1, 0xBD)) == "B2 6.3 2"
    assert _issuer(certificate=altered(0, 0x6B)) == "B2 6.3 3"
    assert _issuer(certificate=altered(1, 0x04)) == "B2 6.3 4"
    assert _issuer(certificate=altered(11, 0x02)) == "B2 6.3 6"
    assert _issuer(certificate=altered(20, plain[20] ^ 1)) == "B2 6.3 7"
    assert _issuer(remainder=rest[:-1]) == "B2 6.3 7"
    assert _issuer(pan="6310940000000012") == "B2 6.3 8"
    assert _issuer(certificate=issuer_certificate(identifier="62ffffff")[0]) == "B2 6.3 8"
    assert _issuer(certificate=issuer_certificate(expiry="1025")[0]) == "B2 6.3 9"
    assert _issuer(certificate=issuer_certificate(expiry="1026")[0]) == "B2 6.3 9"
    assert _issuer(certificate=issuer_certificate(expiry="1126")[0]) == "valid"
    assert _issuer(certificate=issuer_certificate(expiry="1349")[0]) == "B2 6.3 9"
    serial = (emv_card.RID, 0x57, b"\x00\x00\x01")
    assert _issuer(revoked=[serial]) == "B2 6.3 10"
    assert _issuer(certificate=issuer_certificate(alg="0102")[0]) == "B2 6.3 11"


def test_issuer_key_lengths():
    modulus = ISSUER_N.to_bytes(SIZE, "big")

    def made(length, exponent_length, remainder, exponent):
        body = bytes.fromhex("026210ffff12490000010101") + bytes((length, exponent_length))
        signed = sign(body + modulus[:92], remainder + exponent, CA_N, CA_D)
        return _issuer(certificate=signed, remainder=remainder, exponent=exponent)

    assert made(128, 3, modulus[92:], E65537) == "valid"
    assert made(128, 3, b"", E65537) == "B2 6.3 12"
    assert made(129, 3, modulus[92:], E65537) == "B2 6.3 12"
    assert made(127, 3, modulus[92:], E65537) == "B2 6.3 12"
    assert made(128, 1, modulus[92:], E65537) == "B2 6.3 12"
    assert made(128, 1, modulus[92:], b"\x05") == "B2 6.3 12"
    assert made(4, 3, b"", E65537) == "B2 6.3 12"


def _issuer_key():
    made, rest = issuer_certificate()
    return certificates.issuer_key(capk(), made, rest, E65537, PAN, TODAY, set())


def _icc(static=b"", remainder=None, pan=PAN, **changes):
    made, rest = icc_certificate(b"static", **changes)
    if remainder is None:
        remainder = rest
    static = static or b"static"
    return _clause(
        certificates.icc_key, _issuer_key(), made, remainder, b"\x03", static, pan, TODAY
    )


def test_icc_certificate_each_check():
    assert _icc() == "valid"
    assert _icc(static=b"other") == "B2 6.4 7"
    assert _icc(pan="6210940000000020") == "B2 6.4 8"
    assert _icc(expiry="1026") == "B2 6.4 9"
    assert _icc(alg="0103") == "B2 6.4 11"
    assert _icc(remainder=b"\x00") == "B2 6.4 7"
    wrong = sign(b"\x03" + bytes(40), b"", ISSUER_N, ISSUER_D)
    clause = _clause(certificates.icc_key, _issuer_key(), wrong, b"", b"\x03", b"", PAN, TODAY)
    assert clause == "B2 6.4 4"
    clause = _clause(certificates.icc_key, _issuer_key(), wrong[1:], b"", b"\x03", b"", PAN, TODAY)
    assert clause == "B2 6.4 1"


def test_dynamic_data_lengths():
    key = certificates.PublicKey(ICC_N.to_bytes(SIZE, "big"), 3, {})

    def made(length, dynamic):
        signed = sign(b"\x05\x01" + bytes((length,)) + dynamic, b"data", ICC_N, ICC_D)
        return _clause(certificates.dynamic_signature, key, signed, b"data", "B2 6.5.2")

    assert made(9, b"\x08" + bytes(8)) == "valid"
    assert made(0, b"") == "B2 6.5.2 8"
    assert made(120, bytes(100)) == "B2 6.5.2 8"
    assert made(2, b"\x01\x00") == "B2 6.5.2 9"
    assert made(5, b"\x08" + bytes(8)) == "B2 6.5.2 9"
    signed = sign(b"\x05\x01\x09\x08" + bytes(8), b"other", ICC_N, ICC_D)
    clause = _clause(certificates.dynamic_signature, key, signed, b"data", "B2 6.5.2")
    assert clause == "B2 6.5.2 7"


def _fails(card, mask, *rules, terminal=None, missing=False, kind="approved"):
    run = drive(card, terminal=terminal or config(aids=[aid_config(tac_denial=bytes(5))]))
    assert run.outcome.tvr[0] & 0x4C == mask, (run.outcome.tvr.hex(), run.rules())
    assert bool(run.outcome.tvr[0] & 0x20) == missing
    assert run.outcome.tsi[0] & 0x80
    assert run.outcome.kind == kind
    for rule in rules:
        assert rule in run.rules(), run.rules()


MASK = {"SDA": 0x40, "DDA": 0x08, "CDA": 0x04}


def test_missing_objects_fail_and_say_so():
    for method, tags in (
        ("SDA", (0x8F, 0x90, 0x93, 0x9F32, 0x92)),
        ("DDA", (0x8F, 0x90, 0x9F46, 0x9F47, 0x9F48)),
        ("CDA", (0x9F46, 0x9F32)),
    ):
        for tag in tags:
            card = FakeCard(method)
            card.data[tag] = None
            if tag in (0x92, 0x9F48):
                # without its remainder the hash is what fails first
                _fails(card, MASK[method])
            else:
                _fails(card, MASK[method], "B3 7.5 e", missing=True)


def test_capk_missing_or_expired():
    for method in ("SDA", "DDA", "CDA"):
        terminal = config(aids=[aid_config(tac_denial=bytes(5))], capks=[])
        _fails(FakeCard(method), MASK[method], "B2 6.2 a", terminal=terminal)
    terminal = config(aids=[aid_config()], capks=[capk(expiry="20261120")])
    _fails(FakeCard("SDA"), 0x40, "house e", terminal=terminal)
    terminal = config(aids=[aid_config()], capks=[capk(expiry="20261121")])
    assert not drive(FakeCard("SDA"), terminal=terminal).outcome.tvr[0] & 0x40


def test_capk_hash_is_checked_at_load():
    good = emv_card.capk()
    from firmware.payment.emv.config import capk_hash

    digest = capk_hash(good.rid, good.index, good.modulus, E65537)
    assert capk(sha1=digest).index == 0x57
    for changes in (
        {"sha1": bytes(20)},
        {"rid": b"\x00"},
        {"exponent": b"\x05"},
        {"modulus": bytes(128)},
        {"modulus": b"\x01" * 249},
        {"expiry": "2026"},
    ):
        try:
            values = {
                "rid": emv_card.RID,
                "index": 1,
                "modulus": good.modulus,
                "exponent": E65537,
            }
            values.update(changes)
            Capk(**values)
        except ConfigError:
            continue
        raise AssertionError(changes)


def test_revoked_certificate():
    terminal = config(revoked=[(emv_card.RID, 0x57, b"\x00\x00\x01")])
    _fails(FakeCard("DDA"), 0x08, "B2 6.3 10", terminal=terminal)


def test_method_chosen_by_both_sides():
    for capabilities, tvr in (("E0F800", 0x80), ("E0F880", 0x02), ("E0F840", 0x00)):
        card = FakeCard("DDA", aip=0x5C)
        card.data[0x93] = bytes(SIZE)
        terminal = config(
            capabilities=bytes.fromhex(capabilities), aids=[aid_config(tac_denial=bytes(5))]
        )
        run = drive(card, terminal=terminal)
        assert run.outcome.tvr[0] & 0x82 == tvr
        assert "B3 10.3 a" in run.rules()
    run = drive(FakeCard())
    assert run.outcome.tvr[0] == 0x80 and not run.outcome.tsi[0] & 0x80
    assert "B3 10.3 b" in run.rules()
    assert "B3 10.3 c" in drive(FakeCard("SDA")).rules()


def _with_9f4a(value):
    """SDA over the record and, by 9F4A, the AIP."""
    card = FakeCard("SDA")
    card.static[0x9F4A] = value
    signed = b"".join([tlv.encode(t, v) for t, v in sorted(card.static.items())])
    card.data[0x93] = sign(b"\x03\x01\xda\xc0", signed + card.aip, ISSUER_N, ISSUER_D)
    return card


def test_static_data_tag_list():
    run = drive(_with_9f4a(b"\x82"))
    assert run.outcome.tvr[0] == 0x02, run.rules()
    _fails(_with_9f4a(b"\x82\x94"), 0x40, "B3 10.3 f")


def _in_sfi_11(record):
    """The signed record stands in SFI 11, whole in the input."""
    card = FakeCard("SDA")
    card.afl = bytes.fromhex("080101005801010110010300")
    card.answers["00B2015C"] = (record, 0x9000)
    card.data[0x93] = sign(b"\x03\x01\xda\xc0", record, ISSUER_N, ISSUER_D)
    return card


def test_records_of_sfi_11_go_in_whole():
    run = drive(_in_sfi_11(template(0x70, [(0xDF01, b"\x01")])))
    assert run.outcome.tvr[0] == 0x02, run.rules()
    _fails(_in_sfi_11(bytes.fromhex("DF010101")), 0x40, "B3 10.3 e")
    _fails(_in_sfi_11(b"\x70\x05\x01"), 0x40, "B3 10.3 e")


def test_sda_signature():
    card = FakeCard("SDA")
    card.data[0x93] = sign(b"\x03\x01\xda\xc0", b"other data", ISSUER_N, ISSUER_D)
    _fails(card, 0x40, "B2 5.4 7")
    card = FakeCard("SDA")
    card.data[0x93] = bytes(10)
    _fails(card, 0x40, "B2 5.4 1")
    run = drive(FakeCard("SDA"))
    assert run.outcome.tags[0x9F45] == b"\xda\xc0"
    assert "B3 10.3 d" in run.rules()


def test_ddol():
    card = FakeCard("DDA")
    card.data[0x9F49] = b"\x9f\x02\x06"
    _fails(card, 0x08, "B2 6.5.1 c")
    card = FakeCard("DDA")
    card.data[0x9F49] = b"\x9f\x37"
    _fails(card, 0x08, "B2 6.5.1 b")
    card = FakeCard("DDA")
    card.data[0x9F49] = None
    _fails(card, 0x08, "B2 6.5.1 a", "B2 6.5.1 c")
    card = FakeCard("DDA")
    card.data[0x9F49] = None
    terminal = config(aids=[aid_config(default_ddol=b"\x9f\x37\x04")])
    run = drive(card, terminal=terminal)
    assert run.outcome.tvr[0] == 0 and "B2 6.5.1 a" in run.rules()
    assert run.outcome.tags[0x9F4C] == b"\x11" * 8


def test_internal_authenticate_answers():
    for answer, rule in (
        ((b"", 0x6A80), "B3 6.5.9.5 a"),
        ((bytes.fromhex("70035A0112"), 0x9000), "B3 6.5.9.4 a"),
        ((bytes.fromhex("77035A0112"), 0x9000), "B3 6.5.9.4 b"),
        ((bytes.fromhex("8005"), 0x9000), "B3 7.5 a"),
    ):
        card = FakeCard("DDA")
        card.answers["00880000"] = answer
        run = drive(card)
        assert run.outcome.kind == "terminated"
        assert rule in run.rules(), run.rules()
    card = FakeCard("DDA")
    card.answers["00880000"] = (tlv.encode(0x80, bytes(SIZE)), 0x9000)
    _fails(card, 0x08, "B2 6.5.2 2")


def test_cda_is_not_asked_once_it_failed():
    card = FakeCard("CDA")
    card.data[0x9F46] = bytes(SIZE)
    terminal = config(aids=[aid_config(tac_denial=bytes(5))])
    run = drive(card, terminal=terminal)
    assert run.outcome.tvr[0] == 0x04 and run.outcome.kind == "approved"
    assert [c[2] for c in card.log if c[1] == 0xAE] == [0x80, 0x40]


def test_cda_failure_at_arqc_asks_aac():
    card = FakeCard("CDA")
    card.spoil_cda = True
    card.kinds = [0x80, 0x00]
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("declined", "cda_failed")
    assert "GoOnline" not in run.kinds()
    assert [c[2] for c in card.log if c[1] == 0xAE] == [0x90, 0x00]
    assert "B2 6.6.2 12" in run.rules() and "B2 6.6.2 b" in run.rules()
    assert run.outcome.tvr[0] == 0x04 and run.outcome.tsi[0] & 0x80


def test_cda_failure_at_tc_declines():
    card = FakeCard("CDA", cvm="1F00")
    card.spoil_cda = True
    card.kinds = [0x40]
    terminal = config(aids=[aid_config(tac_online=bytes(5))])
    card.static[0x9F0F] = bytes(5)
    run = drive(card, terminal=terminal, payment=emv_card.transaction(amount=10))
    assert (run.outcome.kind, run.outcome.reason) == ("declined", "cda_failed")
    assert "B2 6.6.2 c" in run.rules()


def test_arqc_without_signature_fails_cda():
    card = FakeCard("CDA")
    plain = bytes.fromhex("80128000051122334455667788") + bytes.fromhex("07010103a00000")
    refused = bytes.fromhex("8012000005112233445566778807010103a00000")
    card.answers["80AE9000"] = (plain, 0x9000)
    card.answers["80AE0000"] = (refused, 0x9000)
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("declined", "cda_failed")
    assert "B2 6.6.2 a" in run.rules()


def test_cda_second_cryptogram_fails_after_host_approval():
    class Card(FakeCard):
        def cryptogram(self, command):
            self.spoil_cda = command[2] == 0x50
            return super().cryptogram(command)

    run = drive(Card("CDA"))
    assert run.outcome.kind == "declined"
    assert run.outcome.host_approved_card_declined


def test_an_aac_may_be_signed_too():
    card = FakeCard("CDA")
    body = b"".join([tlv.encode(t, v) for t, v in ((0x9F27, b"\x00"), (0x9F36, b"\x00\x01"))])
    card.answers["80AE9000"] = (tlv.encode(0x77, body + tlv.encode(0x9F4B, bytes(SIZE))), 0x9000)
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("declined", "offline_declined")
    assert run.outcome.tvr[0] == 0x04


def test_pin_key_certificate():
    card = FakeCard("DDA", cvm="0400")
    run = drive(card)
    step = next(s for s in run.steps if s.__class__.__name__ == "VerifyPin")
    assert step.enciphered == (ICC_N.to_bytes(SIZE, "big"), 3)
    card = FakeCard("DDA", cvm="0400")
    made, rest = icc_certificate(b"")
    card.data[0x9F2D], card.data[0x9F2E], card.data[0x9F2F] = None, b"\x03", rest
    card.afl = bytes.fromhex("080101011001030018010100")
    card.answers["00B2011C"] = (template(0x70, [(0x9F2D, made)]), 0x9000)
    run = drive(card)
    assert run.outcome.cvm_results.hex() == "040002", run.rules()
    card = FakeCard("DDA", cvm="0400")
    card.data[0x9F2E], card.data[0x9F2F] = b"\x03", rest
    card.afl = bytes.fromhex("080101011001030018010100")
    card.answers["00B2011C"] = (template(0x70, [(0x9F2D, bytes(SIZE))]), 0x9000)
    run = drive(card)
    assert run.outcome.cvm_results.hex() == "040001"
    assert "B2 7.1 2" in run.rules()


def _resigned(signed, n, d, public, place, value):
    """``signed`` opened, one byte of it replaced, and signed again."""
    plain = bytearray(pow(int.from_bytes(signed, "big"), public, n).to_bytes(SIZE, "big"))
    plain[place] = value
    return pow(int.from_bytes(plain, "big"), d, n).to_bytes(SIZE, "big")


def _header_checks(check, signed, n, d, public, hash_place, clauses):
    """Length, trailer, header, format and hash algorithm, each alone."""
    found = [check(signed[1:])]
    for place, value in ((SIZE - 1, 0xBD), (0, 0x6B), (1, 0x0F), (hash_place, 0x02)):
        found.append(check(_resigned(signed, n, d, public, place, value)))
    assert found == clauses, found


def test_icc_certificate_header():
    made, rest = icc_certificate(b"static")

    def check(signed):
        key = _issuer_key()
        return _clause(certificates.icc_key, key, signed, rest, b"\x03", b"static", PAN, TODAY)

    _header_checks(
        check,
        made,
        ISSUER_N,
        ISSUER_D,
        65537,
        17,
        ["B2 6.4 1", "B2 6.4 2", "B2 6.4 3", "B2 6.4 4", "B2 6.4 6"],
    )


def test_icc_key_lengths():
    modulus = ICC_N.to_bytes(SIZE, "big")
    head = bytes.fromhex("046210940000000012ffff12490000020101")

    def made(length, exponent, remainder):
        body = head + bytes((length, len(exponent))) + modulus[: SIZE - 42]
        signed = sign(body, remainder + exponent, ISSUER_N, ISSUER_D)
        return _clause(
            certificates.icc_key, _issuer_key(), signed, remainder, exponent, b"", PAN, TODAY
        )

    assert made(SIZE, b"\x03", modulus[SIZE - 42 :]) == "valid"
    assert made(SIZE, b"\x03", b"") == "B2 6.4 12"
    assert made(SIZE, b"\x05", modulus[SIZE - 42 :]) == "B2 6.4 12"
    assert made(SIZE + 1, b"\x03", modulus[SIZE - 42 :]) == "B2 6.4 12"


def test_sda_header():
    signed = sign(b"\x03\x01\xda\xc0", b"static", ISSUER_N, ISSUER_D)

    def check(changed):
        return _clause(certificates.static_signature, _issuer_key(), changed, b"static")

    assert check(signed) == "valid"
    _header_checks(
        check,
        signed,
        ISSUER_N,
        ISSUER_D,
        65537,
        2,
        ["B2 5.4 1", "B2 5.4 2", "B2 5.4 3", "B2 5.4 4", "B2 5.4 6"],
    )


def _dynamic_check(clause, data):
    key = certificates.PublicKey(ICC_N.to_bytes(SIZE, "big"), 3, {})

    def check(signed):
        return _clause(certificates.dynamic_signature, key, signed, data, clause)

    return check


def test_dda_header():
    signed = sign(b"\x05\x01\x09\x08" + bytes(8), b"data", ICC_N, ICC_D)
    _header_checks(
        _dynamic_check("B2 6.5.2", b"data"),
        signed,
        ICC_N,
        ICC_D,
        3,
        2,
        ["B2 6.5.2 1", "B2 6.5.2 2", "B2 6.5.2 3", "B2 6.5.2 4", "B2 6.5.2 6"],
    )


class _CdaCard(FakeCard):
    """Signs what ``forge`` makes of the right signature."""

    def __init__(self, forge):
        super().__init__("CDA")
        self.kinds = [0x80, 0x00]
        self.forge = forge

    def cryptogram(self, command):
        answer = super().cryptogram(command)
        nodes = tlv.parse(answer)
        if nodes[0].tag == 0x80:
            return answer
        objects = [(n.tag, n.value) for n in nodes[0].children]
        tag, signed = objects.pop()
        return template(0x77, objects + [(tag, self.forge(signed, command[-5:-1]))])


def _cda_ends(forge, rule):
    run = drive(_CdaCard(forge))
    assert (run.outcome.kind, run.outcome.reason) == ("declined", "cda_failed")
    assert rule in run.rules(), run.rules()
    assert run.outcome.tvr[0] == 0x04


def test_cda_signature_each_check():
    for place, value, rule in (
        (SIZE - 1, 0xBD, "B2 6.6.2 2"),
        (0, 0x6B, "B2 6.6.2 3"),
        (1, 0x03, "B2 6.6.2 4"),
        (2, 0x02, "B2 6.6.2 6"),
        (9, 0x77, "B2 6.6.2 7"),
    ):

        def forge(signed, number, place=place, value=value):
            return _resigned(signed, ICC_N, ICC_D, 3, place, value)

        _cda_ends(forge, rule)
    _cda_ends(lambda signed, number: signed[1:], "B2 6.6.2 1")


def test_cda_dynamic_data_each_check():
    def signing(body):
        return lambda signed, number: sign(b"\x05\x01" + body, number, ICC_N, ICC_D)

    _cda_ends(signing(b"\x78" + bytes(100)), "B2 6.6.2 8")
    _cda_ends(signing(b"\x09\x08" + bytes(8)), "B2 6.6.2 9")
    whole = b"\x08" + bytes(8) + b"\x40" + bytes(8) + bytes(20)
    _cda_ends(signing(bytes((len(whole),)) + whole), "B2 6.6.2 10")
    whole = b"\x08" + bytes(8) + b"\x80" + bytes(8) + bytes(20)
    _cda_ends(signing(bytes((len(whole),)) + whole), "B2 6.6.2 12")


def test_pin_certificate_each_check():
    def check(signed, rest=None, pan=PAN):
        remainder = icc_certificate(b"")[1] if rest is None else rest
        key = _issuer_key()
        return _clause(
            certificates.icc_key, key, signed, remainder, b"\x03", b"", pan, TODAY, "B2 7.1"
        )

    made, _ = icc_certificate(b"")
    assert check(made) == "valid"
    _header_checks(
        check,
        made,
        ISSUER_N,
        ISSUER_D,
        65537,
        17,
        ["B2 7.1 1", "B2 7.1 2", "B2 7.1 3", "B2 7.1 4", "B2 7.1 6"],
    )
    assert check(icc_certificate(b"static")[0]) == "B2 7.1 7"
    assert check(made, pan="6210940000000020") == "B2 7.1 8"
    assert check(icc_certificate(b"", expiry="1026")[0]) == "B2 7.1 9"
    assert check(icc_certificate(b"", alg="0104")[0]) == "B2 7.1 11"
    assert check(made[:-1] + b"\x00", rest=b"") in ("B2 7.1 2", "B2 7.1 3")
    modulus = ICC_N.to_bytes(SIZE, "big")
    body = bytes.fromhex("046210940000000012ffff12490000020101") + bytes((SIZE, 1))
    bare = sign(body + modulus[: SIZE - 42], b"\x03", ISSUER_N, ISSUER_D)
    assert check(bare, rest=b"") == "B2 7.1 12"
