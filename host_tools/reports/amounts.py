"""Amounts, moments and foreign words as text. Amounts are integers of the minor unit."""

import datetime
import unicodedata

from host_tools.errors import UserError
from host_tools.texts import said

#: ISO 4217: number and letters of every currency in use.
_TABLE = (
    "008ALL 012DZD 032ARS 036AUD 044BSD 048BHD 050BDT 051AMD 052BBD 060BMD 064BTN 068BOB 072BWP "
    "084BZD 090SBD 096BND 104MMK 108BIF 116KHR 124CAD 132CVE 136KYD 144LKR 152CLP 156CNY 170COP "
    "174KMF 188CRC 192CUP 203CZK 208DKK 214DOP 222SVC 230ETB 232ERN 238FKP 242FJD 262DJF 270GMD "
    "292GIP 320GTQ 324GNF 328GYD 332HTG 340HNL 344HKD 348HUF 352ISK 356INR 360IDR 364IRR 368IQD "
    "376ILS 388JMD 392JPY 398KZT 400JOD 404KES 408KPW 410KRW 414KWD 417KGS 418LAK 422LBP 426LSL "
    "430LRD 434LYD 446MOP 454MWK 458MYR 462MVR 480MUR 484MXN 496MNT 498MDL 504MAD 512OMR 516NAD "
    "524NPR 532ANG 533AWG 548VUV 554NZD 558NIO 566NGN 578NOK 586PKR 590PAB 598PGK 600PYG 604PEN "
    "608PHP 634QAR 643RUB 646RWF 654SHP 682SAR 690SCR 702SGD 704VND 706SOS 710ZAR 728SSP 748SZL "
    "752SEK 756CHF 760SYP 764THB 776TOP 780TTD 784AED 788TND 800UGX 807MKD 818EGP 826GBP 834TZS "
    "840USD 858UYU 860UZS 882WST 886YER 901TWD 925SLE 927UYW 928VES 929MRU 930STN 932ZWL 933BYN "
    "934TMT 936GHS 938SDG 941RSD 943MZN 944AZN 946RON 949TRY 950XAF 951XCD 952XOF 953XPF 963XTS "
    "967ZMW 968SRD 969MGA 971AFN 972TJS 973AOA 975BGN 976CDF 977BAM 978EUR 980UAH 981GEL 985PLN "
    "986BRL"
)
#: Decimals of the minor unit where they are not two.
_EXPONENTS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "UYW",
}
_LETTERS = {int(entry[:3]): entry[3:] for entry in _TABLE.split()}
_NUMBERS = {letters: number for number, letters in _LETTERS.items()}


def letters(currency: int) -> str:
    """Its ISO 4217 letters; ``N`` and the number where it has none ("N000")."""
    return _LETTERS.get(currency, f"N{currency:03d}")


def standard_exponent(currency: int) -> int:
    """The decimals that ISO 4217 gives the currency; a payment carries its own."""
    word = letters(currency)
    return next((exponent for exponent, them in _EXPONENTS.items() if word in them.split()), 2)


def has_letters(currency: int) -> bool:
    """Whether ISO 4217 gives the number letters."""
    return currency in _LETTERS


def currency_number(text: str) -> int:
    """The number of "CNY", "cny" or "156". UserError: there is no such currency."""
    word = text.strip().upper()
    if word in _NUMBERS:
        return _NUMBERS[word]
    if word.isascii() and word.isdigit() and len(word) <= 3:
        return int(word)
    raise UserError(
        said("no currency {word}; give its three letters, for example CNY", word=repr(text[:20]))
    )


def decimal_text(minor: int, exponent: int) -> str:
    """``-12.34``, with exactly ``exponent`` decimals."""
    digits = str(abs(minor)).zfill(exponent + 1)
    sign = "-" if minor < 0 else ""
    return sign + (f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits)


def grouped_text(minor: int, exponent: int) -> str:
    """``-1,234.56``: for people."""
    whole, dot, rest = decimal_text(minor, exponent).partition(".")
    sign, whole = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(whole):,}{dot}{rest}"


def minor_units(text: str, exponent: int) -> int | None:
    """The minor units of a decimal text ("12.3", "-1"); None when it is not one, or is finer
    than the currency."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    whole, dot, part = rest.partition(".")
    if dot and not part:
        return None
    if not (whole + part).isascii() or not (whole + part).isdigit() or len(whole) > 15:
        return None
    if part[exponent:].strip("0"):
        return None
    return sign * int((whole or "0") + part[:exponent].ljust(exponent, "0"))


def moment_text(moment: int | None) -> str:
    """Unix seconds as ``2026-11-22T01:02:03Z``; "" where there is none."""
    if moment is None:
        return ""
    try:
        told = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    except (OverflowError, ValueError, OSError):  # a clock past the calendar's end
        return str(moment)
    return told.strftime("%Y-%m-%dT%H:%M:%SZ")


def local_text(local_time: str) -> str:
    """The terminal's YYYYMMDDhhmmss as ``2026-11-22 01:02:03``; another text stays."""
    if len(local_time) != 14 or not local_time.isdigit():
        return printable(local_time)
    day = f"{local_time[:4]}-{local_time[4:6]}-{local_time[6:8]}"
    return f"{day} {local_time[8:10]}:{local_time[10:12]}:{local_time[12:]}"


def printable(text: str) -> str:
    """``text`` on one line, without what could steer a screen or is no character of XML."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if _steers(char) else char for char in text)


def _steers(char: str) -> bool:
    if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return True
    return ord(char) & 0xFFFE == 0xFFFE  # no character, on any plane
