"""Money: exact integers, ISO 4217, entry from the right."""

from firmware.payment.money import LARGEST, Currency, Entry, Money, MoneyError

CNY = Currency.by_number(156)
JPY = Currency.by_code("JPY")
KWD = Currency.by_number(414)


def _refused(call: "object", *args: "object") -> bool:
    try:
        call(*args)  # type: ignore[operator]
    except MoneyError:
        return True
    return False


def test_format_follows_the_exponent() -> None:
    assert Money(0, CNY).format() == "¥0.00"
    assert Money(5, CNY).format() == "¥0.05"
    assert Money(123456, CNY).format() == "¥1,234.56"
    assert Money(LARGEST, CNY).format() == "¥9,999,999,999.99"
    assert Money(1234, JPY).format() == "JPY 1,234"
    assert Money(1234, KWD).format() == "KWD 1.234"
    assert Money(100, CNY).format_code() == "CNY 1.00"


def test_digits_are_twelve() -> None:
    assert Money(1, CNY).digits() == "000000000001"
    assert Money(LARGEST, CNY).digits() == "999999999999"


def test_what_is_no_amount_is_refused() -> None:
    assert _refused(Money, -1, CNY)
    assert _refused(Money, LARGEST + 1, CNY)
    assert _refused(Money, 1.5, CNY)
    assert _refused(Money, True, CNY)
    assert _refused(Currency.by_number, 999)
    assert _refused(Currency.by_code, "XXX")


def test_arithmetic_keeps_to_one_currency() -> None:
    assert Money(1, CNY) + Money(2, CNY) == Money(3, CNY)
    assert Money(3, CNY) - Money(2, CNY) == Money(1, CNY)
    assert Money(1, CNY) != Money(1, JPY)
    assert _refused(Money(1, CNY).__add__, Money(1, JPY))
    assert _refused(Money(1, CNY).__sub__, Money(2, CNY))


def test_entry_fills_from_the_right() -> None:
    entry = Entry(CNY, 99999)
    shown = []
    for key in ("0", "1", "2", "3", "00", "9", "clear", "x", ".", ""):
        entry.key(key)
        shown.append(entry.money().format())
    assert shown[:4] == ["¥0.00", "¥0.01", "¥0.12", "¥1.23"]
    assert shown[4] == "¥123.00"
    assert shown[5] == "¥123.00"  # would pass the largest amount
    assert shown[6] == "¥12.30"
    assert shown[7:] == ["¥12.30"] * 3
    assert not entry.key("menu")


def test_currencies_are_unique():
    from firmware.payment import money

    entries = money._TABLE.split()
    assert len(entries) == 64
    assert len({entry[:3] for entry in entries}) == len({entry[3:6] for entry in entries}) == 64
    for entry in entries:
        currency = money.Currency.by_number(int(entry[:3]))
        assert currency.code == money.Currency.by_code(entry[3:6]).code == entry[3:6]
        assert currency.exponent in (0, 2, 3) and currency.sign == entry[7:]
