"""Words of the trace: instructions, status words, message types (EMV 4.4 Book 3, 6.3 and 6.5)."""

INSTRUCTIONS = {
    0x16: "CARD BLOCK",
    0x18: "APPLICATION UNBLOCK",
    0x1E: "APPLICATION BLOCK",
    0x20: "VERIFY",
    0x24: "PIN CHANGE/UNBLOCK",
    0x82: "EXTERNAL AUTHENTICATE",
    0x84: "GET CHALLENGE",
    0x88: "INTERNAL AUTHENTICATE",
    0xA4: "SELECT",
    0xA8: "GET PROCESSING OPTIONS",
    0xAE: "GENERATE AC",
    0xB2: "READ RECORD",
    0xC0: "GET RESPONSE",
    0xCA: "GET DATA",
    0xDA: "PUT DATA",
}
STATUS_WORDS = {
    "9000": "done",
    "6283": "selected file is invalidated",
    "6300": "authentication failed",
    "6700": "wrong length",
    "6983": "authentication method blocked",
    "6984": "referenced data invalidated",
    "6985": "conditions of use not satisfied",
    "6A81": "function not supported",
    "6A82": "file not found",
    "6A83": "record not found",
    "6A86": "wrong P1 or P2",
    "6A88": "referenced data not found",
    "6D00": "instruction not supported",
    "6E00": "class not supported",
}
#: By MTI, or MTI and network management code (field 60.3).
MESSAGES = {
    "0200": "sale",
    "0210": "answer to the sale",
    "0400": "reversal",
    "0410": "reversal acknowledged",
    "0620": "script result",
    "0630": "script result acknowledged",
    "0800": "network",
    "0810": "network answer",
    "0820": "network",
    "0830": "network answer",
    "0800001": "sign-in",
    "0800003": "sign-in",
    "0800004": "sign-in",
    "0810001": "working keys",
    "0810003": "working keys",
    "0810004": "working keys",
    "0820002": "sign-out",
    "0830002": "signed out",
    "0820301": "echo",
    "0830301": "echo answered",
}
#: Cryptogram asked for by P1 of GENERATE AC (EMV 4.4 Book 3, table 12).
_CRYPTOGRAMS = {0x00: "AAC", 0x40: "TC", 0x80: "ARQC"}


def status_word(sw: bytes) -> str:
    """What two status bytes say; "" for unknown ones."""
    text = sw.hex().upper()
    if text[:2] == "61":
        return f"{sw[1]} bytes wait"
    if text[:2] == "6C":
        return f"length is {sw[1]}"
    if text[:3] == "63C":
        return f"{sw[1] & 15} tries left"
    return STATUS_WORDS.get(text, "")


def place_of(command: bytes) -> str:
    """What P1 and P2 of a command name; "" when they say nothing worth a word."""
    ins, p1, p2 = command[1], command[2], command[3]
    if ins == 0xB2:
        return f"SFI {p2 >> 3} record {p1}"
    if ins == 0xAE:
        return _CRYPTOGRAMS.get(p1 & 0xC0, "") + (" with CDA" if p1 & 0x10 else "")
    if ins == 0xCA:
        return f"{p1:02X}{p2:02X}"
    if ins == 0xA4 and len(command) > 5:
        name = command[5 : 5 + command[4]]
        return name.decode("ascii") if name[:5] in (b"1PAY.", b"2PAY.") else name.hex().upper()
    return ""
