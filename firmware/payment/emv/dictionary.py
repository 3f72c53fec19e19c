"""Data objects by tag (EMV 4.4 Book 3, Annex A, and UnionPay's additions).

One line an object: tag, format, source, least and greatest length in bytes,
name. Source: I card, T terminal, H issuer. The text is read once and kept as
three small tables.
"""

_TABLE = """
42 n I 3 3 Issuer Identification Number
4F b I 5 16 Application Identifier (ADF Name)
50 ans I 1 16 Application Label
56 ans I 0 76 Track 1 Equivalent Data
57 b I 0 19 Track 2 Equivalent Data
5A cn I 0 10 Application Primary Account Number (PAN)
5F20 ans I 0 45 Cardholder Name
5F24 n I 3 3 Application Expiration Date
5F25 n I 3 3 Application Effective Date
5F28 n I 2 2 Issuer Country Code
5F2A n T 2 2 Transaction Currency Code
5F2D an I 2 8 Language Preference
5F30 n I 2 2 Service Code
5F34 n I 1 1 Application PAN Sequence Number
5F36 n T 1 1 Transaction Currency Exponent
5F50 ans I 0 252 Issuer URL
5F53 b I 0 34 International Bank Account Number
5F54 b I 8 11 Bank Identifier Code
5F55 a I 2 2 Issuer Country Code (alpha2)
5F56 a I 3 3 Issuer Country Code (alpha3)
5F57 n T 1 1 Account Type
61 t I 0 252 Application Template
6F t I 0 252 File Control Information Template
70 t I 0 252 Record Template
71 t H 0 252 Issuer Script Template 1
72 t H 0 252 Issuer Script Template 2
73 t I 0 252 Directory Discretionary Template
77 t I 0 252 Response Message Template Format 2
80 b I 0 253 Response Message Template Format 1
81 b T 4 4 Amount, Authorised (Binary)
82 b I 2 2 Application Interchange Profile
83 b T 0 252 Command Template
84 b I 5 16 Dedicated File (DF) Name
86 b H 4 261 Issuer Script Command
87 b I 1 1 Application Priority Indicator
88 b I 1 1 Short File Identifier
89 b H 6 6 Authorisation Code
8A an T 2 2 Authorisation Response Code
8C b I 0 252 Card Risk Management Data Object List 1 (CDOL1)
8D b I 0 252 Card Risk Management Data Object List 2 (CDOL2)
8E b I 0 252 Cardholder Verification Method (CVM) List
8F b I 1 1 Certification Authority Public Key Index
90 b I 0 248 Issuer Public Key Certificate
91 b H 8 16 Issuer Authentication Data
92 b I 0 248 Issuer Public Key Remainder
93 b I 0 248 Signed Static Application Data
94 b I 0 252 Application File Locator
95 b T 5 5 Terminal Verification Results
97 b I 0 252 Transaction Certificate Data Object List (TDOL)
98 b T 20 20 Transaction Certificate (TC) Hash Value
99 b T 0 252 Transaction PIN Data
9A n T 3 3 Transaction Date
9B b T 2 2 Transaction Status Information
9C n T 1 1 Transaction Type
9D b I 5 16 Directory Definition File (DDF) Name
9F01 n T 6 6 Acquirer Identifier
9F02 n T 6 6 Amount, Authorised (Numeric)
9F03 n T 6 6 Amount, Other (Numeric)
9F04 b T 4 4 Amount, Other (Binary)
9F05 b I 1 32 Application Discretionary Data
9F06 b T 5 16 Application Identifier (terminal)
9F07 b I 2 2 Application Usage Control
9F08 b I 2 2 Application Version Number (card)
9F09 b T 2 2 Application Version Number (terminal)
9F0B ans I 27 45 Cardholder Name Extended
9F0D b I 5 5 Issuer Action Code - Default
9F0E b I 5 5 Issuer Action Code - Denial
9F0F b I 5 5 Issuer Action Code - Online
9F10 b I 0 32 Issuer Application Data
9F11 n I 1 1 Issuer Code Table Index
9F12 ans I 1 16 Application Preferred Name
9F13 b I 2 2 Last Online Application Transaction Counter (ATC) Register
9F14 b I 1 1 Lower Consecutive Offline Limit
9F15 n T 2 2 Merchant Category Code
9F16 ans T 15 15 Merchant Identifier
9F17 b I 1 1 Personal Identification Number (PIN) Try Counter
9F18 b H 4 4 Issuer Script Identifier
9F19 b I 0 252 Token Requestor ID
9F1A n T 2 2 Terminal Country Code
9F1B b T 4 4 Terminal Floor Limit
9F1C an T 8 8 Terminal Identification
9F1D b T 1 8 Terminal Risk Management Data
9F1E an T 8 8 Interface Device (IFD) Serial Number
9F1F ans I 0 252 Track 1 Discretionary Data
9F20 cn I 0 252 Track 2 Discretionary Data
9F21 n T 3 3 Transaction Time
9F22 b T 1 1 Certification Authority Public Key Index (terminal)
9F23 b I 1 1 Upper Consecutive Offline Limit
9F24 an I 29 29 Payment Account Reference
9F25 n I 2 2 Last 4 Digits of PAN
9F26 b I 8 8 Application Cryptogram
9F27 b I 1 1 Cryptogram Information Data
9F2D b I 0 248 ICC PIN Encipherment Public Key Certificate
9F2E b I 1 3 ICC PIN Encipherment Public Key Exponent
9F2F b I 0 248 ICC PIN Encipherment Public Key Remainder
9F32 b I 1 3 Issuer Public Key Exponent
9F33 b T 3 3 Terminal Capabilities
9F34 b T 3 3 Cardholder Verification Method (CVM) Results
9F35 n T 1 1 Terminal Type
9F36 b I 2 2 Application Transaction Counter (ATC)
9F37 b T 4 4 Unpredictable Number
9F38 b I 0 252 Processing Options Data Object List (PDOL)
9F39 n T 1 1 Point-of-Service (POS) Entry Mode
9F3A b T 4 4 Amount, Reference Currency
9F3B n I 2 8 Application Reference Currency
9F3C n T 2 2 Transaction Reference Currency Code
9F3D n T 1 1 Transaction Reference Currency Exponent
9F40 b T 5 5 Additional Terminal Capabilities
9F41 n T 2 4 Transaction Sequence Counter
9F42 n I 2 2 Application Currency Code
9F43 n I 1 4 Application Reference Currency Exponent
9F44 n I 1 1 Application Currency Exponent
9F45 b I 2 2 Data Authentication Code
9F46 b I 0 248 ICC Public Key Certificate
9F47 b I 1 3 ICC Public Key Exponent
9F48 b I 0 248 ICC Public Key Remainder
9F49 b I 0 252 Dynamic Data Authentication Data Object List (DDOL)
9F4A b I 0 252 Static Data Authentication Tag List
9F4B b I 0 248 Signed Dynamic Application Data
9F4C b I 2 8 ICC Dynamic Number
9F4D b I 2 2 Log Entry
9F4E ans T 0 252 Merchant Name and Location
9F4F b I 0 252 Log Format
9F5A b I 0 252 Application Program Identifier
9F5D b I 0 252 Available Offline Spending Amount
9F63 b I 0 252 Product Identification Information
9F66 b T 4 4 Terminal Transaction Qualifiers
9F6B b I 0 19 Track 2 Data
9F6C b I 2 2 Card Transaction Qualifiers
9F6E b I 0 252 Form Factor Indicator
9F74 an I 6 6 Electronic Cash Issuer Authorisation Code
9F77 n I 6 6 Electronic Cash Balance Limit
9F78 n I 6 6 Electronic Cash Single Transaction Limit
9F79 n I 6 6 Electronic Cash Balance
9F7A n T 1 1 Electronic Cash Terminal Support Indicator
9F7B n T 6 6 Electronic Cash Terminal Transaction Limit
9F7C b T 0 252 Merchant Custom Data
A5 t I 0 252 File Control Information (FCI) Proprietary Template
BF0C t I 0 252 File Control Information (FCI) Issuer Discretionary Data
DF31 b T 0 252 Issuer Script Results
"""

#: Tag to format: "n", "cn", "b", "an", "ans", "a", "t" (template).
FORMATS: "dict[int, str]" = {}
#: Tag to (least, greatest) length.
LENGTHS: "dict[int, tuple[int, int]]" = {}
#: Objects that only the terminal or the issuer gives; a card cannot set them.
NOT_FROM_CARD: "set[int]" = set()


def _load() -> None:
    at = 1
    shared: "dict[tuple[int, int], tuple[int, int]]" = {}
    while at < len(_TABLE):  # line by line: all lines at once would take 10 KiB
        end = _TABLE.find("\n", at)
        tag_text, kind, source, least, most, _ = _TABLE[at:end].split(" ", 5)
        at = end + 1
        tag = int(tag_text, 16)
        FORMATS[tag] = kind
        both = (int(least), int(most))
        LENGTHS[tag] = shared.setdefault(both, both)  # few are different
        if source != "I":
            NOT_FROM_CARD.add(tag)


_load()


def name(tag: int) -> str:
    """The object's name, "" when the dictionary does not have it."""
    if tag not in FORMATS:
        return ""
    digits = hex(tag)[2:].upper()
    at = _TABLE.find("\n" + ("0" + digits if len(digits) & 1 else digits) + " ") + 1
    return _TABLE[at : _TABLE.find("\n", at)].split(" ", 5)[5]


def tags() -> "list[int]":
    """Every tag known, in numeric order."""
    return sorted(FORMATS)
