"""Slips: what they say, what they must never say, and that every line fits."""

from firmware.services import receipts
from firmware.text import faces
from firmware.text.texts import Texts

SALE = {
    "shop": "Golden Dragon Tea House", "shop_zh": "金龙茶叶店", "address": "1 Tea Street",
    "merchant_id": "123456789012345", "terminal_id": "12345678", "batch": "000001",
    "stan": "000012", "rrn": "123456789012", "auth_code": "654321", "date": "2026-11-21",
    "time": "04:12:33", "amount_text": "¥99,999,999.99", "currency_text": "CNY",
    "pan_masked": "622700*********1234", "pan_last4": "***************1234", "entry": "I",
    "label": "UNIONPAY CREDIT1", "aid": "A000000333010102",
    "tvr": "0000008000", "tsi": "E800", "atc": "0001", "csn": "01",
    "cryptogram": "1122334455667788", "cryptogram_kind": "TC", "cvm": "pin",
    "response_code": "00", "test": False, "emulated": False, "type": "sale",
    "issuer": "01020000", "acquirer": "48020000", "operator": "01",
}  # fmt: skip


def _build(kind: str, data: "dict[str, object]", copy: str = "merchant", duplicate: bool = False,
           columns: int = 32, language: str = "zh") -> "list[tuple[object, ...]]":  # fmt: skip
    texts = Texts(language)
    document = receipts.receipt(kind, data, copy, duplicate, columns, texts)
    texts.close()
    for entry in document:
        if entry[0] == "text":
            width = faces.columns(str(entry[1])) * (2 if "w" in str(entry[2]) else 1)
            assert width <= columns, entry
            assert set(str(entry[2])) <= set("bhwcrui"), entry
        elif entry[0] == "pair":
            assert faces.columns(str(entry[1])) + faces.columns(str(entry[2])) < columns, entry
        else:
            assert entry[0] in ("rule", "feed", "cut", "barcode", "qr"), entry
    return document


def _words(document: "list[tuple[object, ...]]") -> str:
    lines = []
    for entry in document:
        if entry[0] in ("text", "pair"):
            lines.append(" ".join(str(part) for part in entry[1:-1]))
    return "\n".join(lines)


def _with(**changes: object) -> "dict[str, object]":
    data: "dict[str, object]" = dict(SALE)
    data.update(changes)
    return data


def test_the_counters_slip_says_what_is_due() -> None:
    items = [("counters.paper", "999999.9 m"), ("counters.brown_outs", "-")]
    for columns in (32, 48):
        data = _with(counters=items, due=["service.paper", "service.swipes"], serial="V-1")
        said = _words(_build("counters", data, columns=columns))
        for word in ("COUNTERS", "999999.9 m", "Low voltage", "-", "V-1", "打印头该保养"):
            assert word in said, word
        assert "Service: swipe head" in said


def test_every_slip_fits_both_papers_in_both_languages() -> None:
    face = faces.Face("latin16")
    for kind in receipts.KINDS:
        for columns in (32, 48):
            for language in ("en", "zh"):
                for copy in ("merchant", "customer"):
                    for cvm in ("pin", "signature", "none"):
                        data = _with(test=True, emulated=True, cvm=cvm, response_code="51",
                                     aid="A0" * 16,
                                     who="supervisor", reason="98", serial="V-0001",
                                     version="0.1.0", notices=["torn tail cut at 12"],
                                     results=[("printer", "warn", "no paper at all, and more")],
                                     )  # fmt: skip
                        document = _build(kind, data, copy, True, columns, language)
                        assert document[-1] == ("cut",)
                        assert face.missing(_words(document).replace("\n", "")) == ""


def test_the_merchant_copy_of_a_sale() -> None:
    document = _build("sale", SALE)
    said = _words(document)
    for part in (
        "金龙茶叶店", "Golden Dragon Tea House", "123456789012345", "12345678", "000001", "000012",
        "654321", "123456789012", "2026-11-21 04:12:33", "CNY 99,999,999.99",
        "622700*********1234 I", "AID: A000000333010102",
        "TC: 1122334455667788", "TVR: 0000008000", "TSI: E800", "ATC: 0001", "CSN: 01",
        "密码已验证 PIN VERIFIED", "消费 SALE", "商户存根 MERCHANT COPY", "UNIONPAY CREDIT1",
    ):  # fmt: skip
        assert part in said, part
    for part in ("DUPLICATE", "TEST", "EMULATED", "None"):
        assert part not in said, part
    amount = [entry for entry in document if "CNY" in str(entry)]
    assert amount[0][2] == "rbh"  # too wide for double width on 32 columns
    amount = [entry for entry in _build("sale", _with(amount_text="¥9.00")) if "CNY" in str(entry)]
    assert amount[0] == ("text", "CNY 9.00", "rbwh")


def test_the_cardholder_copy_has_the_last_four_digits_only() -> None:
    for columns in (32, 48):
        said = _words(_build("sale", SALE, "customer", False, columns))
        assert "622700" not in said
        assert "************1234 I" in said
        assert "CARDHOLDER COPY" in said


def test_cvm_lines() -> None:
    merchant = _build("sale", _with(cvm="signature"))
    assert "持卡人签名" in _words(merchant)
    assert ("feed", 3) in merchant[:-2]
    assert "ACKNOWLEDGE" in _words(merchant)
    customer = _build("sale", _with(cvm="signature"), "customer")
    assert "SIGNATURE" not in _words(customer)
    assert "ACKNOWLEDGE" not in _words(customer)
    assert "NO SIGNATURE OR PIN" in _words(_build("sale", _with(cvm="none")))
    assert "PIN VERIFIED" in _words(_build("sale", _with(cvm="offline_pin")))


def test_marks() -> None:
    said = _words(_build("sale", SALE, "merchant", True))
    assert said.count("重打印 DUPLICATE") == 2
    said = _words(_build("sale", _with(test=True)))
    assert said.count("TEST TERMINAL") == 2
    assert said.count("NOT A REAL PAYMENT") == 2
    assert "EMULATED" not in said
    assert _words(_build("sale", _with(emulated=True))).count("EMULATED TERMINAL") == 2


def test_failed_payments_say_whether_the_customer_was_charged() -> None:
    said = _words(_build("declined", _with(response_code="51", auth_code="")))
    assert "余额不足" in said
    assert "Not enough funds" in said
    assert "NOT CHARGED" in said
    assert "APPROVED" not in said
    assert "AUTH NO" not in said
    assert "Z9" in _words(_build("declined", _with(response_code="Z9")))
    said = _words(_build("reversed", _with(response_code="")))
    assert "REVERSED, NOT CHARGED" in said
    said = _words(_build("unknown", _with(response_code="")))
    assert "DO NOT HAND OVER" in said
    assert "MAY HAVE BEEN" in said
    assert "NOT CHARGED" not in said


def test_other_slips() -> None:
    said = _words(
        _build("release", {"stan": "000012", "amount_text": "¥5.00", "who": "supervisor"})
    )
    assert "000012" in said
    assert "¥5.00" in said
    assert "supervisor" in said
    assert "MAY HAVE BEEN" in said
    said = _words(_build("damage", {"who": "supervisor", "notices": ["gap after 41"]}))
    assert "gap after 41" in said
    document = _build(
        "self_test", {"serial": "V-1", "version": "1", "results": [("vault", "ok", "")]}
    )
    assert ("barcode", "code128", "V-1") in document
    assert "密钥库 Key vault" in _words(document)


def test_language_of_the_screen_comes_first() -> None:
    assert "SALE 消费" in _words(_build("sale", SALE, language="en"))
    assert "消费 SALE" in _words(_build("sale", SALE, language="zh"))


def test_another_kind_is_refused() -> None:
    try:
        _build("poem", SALE)
        raise AssertionError("poem")
    except ValueError:
        pass
