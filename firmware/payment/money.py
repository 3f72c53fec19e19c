"""Amounts: an integer of minor units together with its ISO 4217 currency.

No float touches an amount. Text is made for people (``format``) or for the
wire (``digits``: field 4 and tag 9F02, twelve digits).
"""

from firmware.errors import TillError

#: ISO 4217: number, code, exponent, sign before the amount (none where the
#: terminal's fonts have none or the sign would be ambiguous: then the code).
#: One text, because a tuple a currency takes 5 KiB of a microcontroller's heap.
_TABLE = (
    " 156CNY2¥ 840USD2$ 978EUR2€ 826GBP2£ 392JPY0 344HKD2HK$ 446MOP2MOP$ 901TWD2NT$ 410KRW0₩"
    " 702SGD2S$ 764THB2 458MYR2RM 360IDR2Rp 608PHP2 704VND0 356INR2₹ 586PKR2 050BDT2 144LKR2"
    " 524NPR2 496MNT2 398KZT2 643RUB2₽ 980UAH2 036AUD2A$ 554NZD2NZ$ 124CAD2C$ 484MXN2MX$"
    " 986BRL2R$ 032ARS2 152CLP0 170COP2 604PEN2 756CHF2 752SEK2 578NOK2 208DKK2 352ISK0"
    " 985PLN2 203CZK2 348HUF2 946RON2 975BGN2 949TRY2 376ILS2 682SAR2 784AED2 634QAR2 414KWD3"
    " 048BHD3 512OMR3 400JOD3 788TND3 818EGP2 504MAD2 710ZAR2R 566NGN2 404KES2 936GHS2"
    " 952XOF0 950XAF0 116KHR2 418LAK2 104MMK2 "
)

#: The largest amount that field 4 (n 12) can carry, in minor units.
LARGEST = 999_999_999_999


class MoneyError(TillError):
    """An unknown currency, or an amount that is none."""

    text_key = "error.amount"


class Currency:
    """``number``: ISO 4217 numeric; ``code``: alphabetic; ``exponent``: decimals
    of the minor unit; ``sign``: what stands before an amount on the screen."""

    def __init__(self, number: int, code: str, exponent: int, sign: str) -> None:
        self.number = number
        self.code = code
        self.exponent = exponent
        self.sign = sign

    @staticmethod
    def by_number(number: int) -> "Currency":
        """The currency of an ISO 4217 number. Raises MoneyError."""
        if 0 < number < 1000:
            at = _TABLE.find(" " + ("00" + str(number))[-3:])
            if at >= 0:
                return _currency(at + 1)
        raise MoneyError("no currency " + str(number))

    @staticmethod
    def by_code(code: str) -> "Currency":
        """The currency of an ISO 4217 code such as "CNY". Raises MoneyError."""
        at = _TABLE.find(code) if len(code) == 3 and code.isalpha() and code.isupper() else -1
        if at < 4:
            raise MoneyError("no currency " + code)
        return _currency(at - 3)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Currency) and other.number == self.number

    def __hash__(self) -> int:
        return self.number


def _currency(at: int) -> Currency:
    """The table's entry at ``at``."""
    entry = _TABLE[at : _TABLE.find(" ", at)]
    return Currency(int(entry[:3]), entry[3:6], int(entry[6]), entry[7:])


class Money:
    """An amount: ``minor`` units (0 to LARGEST) of ``currency``."""

    def __init__(self, minor: int, currency: Currency) -> None:
        if isinstance(minor, bool) or not isinstance(minor, int):
            raise MoneyError("an amount is a whole number of minor units")
        if not 0 <= minor <= LARGEST:
            raise MoneyError("an amount has at most twelve digits and no sign")
        self.minor = minor
        self.currency = currency

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Money)
            and other.minor == self.minor
            and other.currency == self.currency
        )

    def __hash__(self) -> int:
        return self.minor

    def _with(self, other: "Money") -> None:
        if other.currency != self.currency:
            raise MoneyError(self.currency.code + " and " + other.currency.code + " do not mix")

    def __add__(self, other: "Money") -> "Money":
        """The sum; MoneyError for another currency or past LARGEST."""
        self._with(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """The difference; MoneyError for another currency or below zero."""
        self._with(other)
        return Money(self.minor - other.minor, self.currency)

    def number(self) -> str:
        """The bare number with grouped thousands: ``1,234.56``."""
        exponent = self.currency.exponent
        digits = str(self.minor)
        while len(digits) <= exponent:
            digits = "0" + digits
        whole = digits[: len(digits) - exponent]
        groups: "list[str]" = []
        while len(whole) > 3:
            groups.insert(0, whole[-3:])
            whole = whole[:-3]
        groups.insert(0, whole)
        text = ",".join(groups)
        return text + "." + digits[len(digits) - exponent :] if exponent else text

    def format(self) -> str:
        """As the screen shows it: ``¥1,234.56``, ``KWD 1.234``, ``JPY 1,234``."""
        sign = self.currency.sign or self.currency.code + " "
        return sign + self.number()

    def format_code(self) -> str:
        """As a slip prints it, with the ISO code: ``CNY 1,234.56``."""
        return self.currency.code + " " + self.number()

    def digits(self) -> str:
        """Twelve digits of minor units (ISO 8583 field 4, EMV tag 9F02)."""
        text = str(self.minor)
        return "0" * (12 - len(text)) + text


class Entry:
    """An amount keyed digit by digit, filled from the right: 1 2 3 is 1.23.

    ``most``: the largest amount, in minor units. A key that would pass it
    changes nothing.
    """

    def __init__(self, currency: Currency, most: int = LARGEST) -> None:
        self.currency = currency
        self.most = min(most, LARGEST)
        self.minor = 0

    def key(self, name: str) -> bool:
        """Take a key: a digit, "00" or "clear" (the last digit). False if refused."""
        if name == "clear":
            self.minor //= 10
            return True
        if name != "00" and (len(name) != 1 or name not in "0123456789"):
            return False
        value = self.minor * (100 if name == "00" else 10) + int(name)
        if value > self.most:
            return False
        self.minor = value
        return True

    def money(self) -> Money:
        """What stands in the entry."""
        return Money(self.minor, self.currency)
