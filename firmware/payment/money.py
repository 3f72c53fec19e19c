"""Amounts: an integer of minor units together with its ISO 4217 currency.

No float touches an amount. Text is made for people (``format``) or for the
wire (``digits``: field 4 and tag 9F02, twelve digits).
"""

from firmware.errors import TillError

#: ISO 4217: number, code, exponent, sign before the amount ("" where the
#: terminal's fonts have none or the sign would be ambiguous: then the code).
_TABLE = (
    (156, "CNY", 2, "¥"), (840, "USD", 2, "$"), (978, "EUR", 2, "€"), (826, "GBP", 2, "£"),
    (392, "JPY", 0, ""), (344, "HKD", 2, "HK$"), (446, "MOP", 2, "MOP$"), (901, "TWD", 2, "NT$"),
    (410, "KRW", 0, "₩"), (702, "SGD", 2, "S$"), (764, "THB", 2, ""), (458, "MYR", 2, "RM"),
    (360, "IDR", 2, "Rp"), (608, "PHP", 2, ""), (704, "VND", 0, ""), (356, "INR", 2, "₹"),
    (586, "PKR", 2, ""), (50, "BDT", 2, ""), (144, "LKR", 2, ""), (524, "NPR", 2, ""),
    (496, "MNT", 2, ""), (398, "KZT", 2, ""), (643, "RUB", 2, "₽"), (980, "UAH", 2, ""),
    (36, "AUD", 2, "A$"), (554, "NZD", 2, "NZ$"), (124, "CAD", 2, "C$"), (484, "MXN", 2, "MX$"),
    (986, "BRL", 2, "R$"), (32, "ARS", 2, ""), (152, "CLP", 0, ""), (170, "COP", 2, ""),
    (604, "PEN", 2, ""), (756, "CHF", 2, ""), (752, "SEK", 2, ""), (578, "NOK", 2, ""),
    (208, "DKK", 2, ""), (352, "ISK", 0, ""), (985, "PLN", 2, ""), (203, "CZK", 2, ""),
    (348, "HUF", 2, ""), (946, "RON", 2, ""), (975, "BGN", 2, ""), (949, "TRY", 2, ""),
    (376, "ILS", 2, ""), (682, "SAR", 2, ""), (784, "AED", 2, ""), (634, "QAR", 2, ""),
    (414, "KWD", 3, ""), (48, "BHD", 3, ""), (512, "OMR", 3, ""), (400, "JOD", 3, ""),
    (788, "TND", 3, ""), (818, "EGP", 2, ""), (504, "MAD", 2, ""), (710, "ZAR", 2, "R"),
    (566, "NGN", 2, ""), (404, "KES", 2, ""), (936, "GHS", 2, ""), (952, "XOF", 0, ""),
    (950, "XAF", 0, ""), (116, "KHR", 2, ""), (418, "LAK", 2, ""), (104, "MMK", 2, ""),
)  # fmt: skip

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
        for row in _TABLE:
            if row[0] == number:
                return Currency(row[0], row[1], row[2], row[3])
        raise MoneyError("no currency " + str(number))

    @staticmethod
    def by_code(code: str) -> "Currency":
        """The currency of an ISO 4217 code such as "CNY". Raises MoneyError."""
        for row in _TABLE:
            if row[1] == code:
                return Currency(row[0], row[1], row[2], row[3])
        raise MoneyError("no currency " + code)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Currency) and other.number == self.number

    def __hash__(self) -> int:
        return self.number


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
