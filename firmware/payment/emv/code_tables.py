"""Issuer code tables: names of applications in ISO 8859 (EMV 4.4 Book 1, 12.2.2 and 12.4).

Index 9F11 is the part of ISO 8859. Parts 1 to 5, 7, 9 and 10 are those that
the terminal's fonts have; Arabic (6) and Hebrew (8) run the other way and are
not shown.
"""

#: Characters of A0 to FF by part, where they are not arithmetic; U+FFFD is none.
_UPPER = {
    2: (
        " Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\ufffdŽŻ°ą˛ł´ľśˇ¸šşťź˝žż"
        "ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß"
        "ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙"
    ),
    3: (
        " Ħ˘£¤\ufffdĤ§¨İŞĞĴ\ufffd\ufffdŻ°ħ²³´µĥ·¸ışğĵ½\ufffdż"
        "ÀÁÂ\ufffdÄĊĈÇÈÉÊËÌÍÎÏ\ufffdÑÒÓÔĠÖ×ĜÙÚÛÜŬŜß"
        "àáâ\ufffdäċĉçèéêëìíîï\ufffdñòóôġö÷ĝùúûüŭŝ˙"
    ),
    4: (
        " ĄĸŖ¤ĨĻ§¨ŠĒĢŦ\ufffdŽ¯°ą˛ŗ´ĩļˇ¸šēģŧŊžŋ"
        "ĀÁÂÃÄÅÆĮČÉĘËĖÍÎĪĐŅŌĶÔÕÖ×ØŲÚÛÜŨŪß"
        "āáâãäåæįčéęëėíîīđņōķôõö÷øųúûüũū˙"
    ),
    7: (
        " ‘’£€₯¦§¨©ͺ«¬\ufffd\ufffd―°±²³΄΅Ά·ΈΉΊ»Ό½ΎΏ"
        "ΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡ\ufffdΣΤΥΦΧΨΩΪΫάέήί"
        "ΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώ\ufffd"
    ),
    10: (
        " ĄĒĢĪĨĶ§ĻĐŠŦŽ\ufffdŪŊ°ąēģīĩķ·ļđšŧž―ūŋ"
        "ĀÁÂÃÄÅÆĮČÉĘËĖÍÎÏÐŅŌÓÔÕÖŨØŲÚÛÜÝÞß"
        "āáâãäåæįčéęëėíîïðņōóôõöũøųúûüýþĸ"
    ),
}
#: ISO 8859-9 is 8859-1 but for these.
_TURKISH = {0xD0: "Ğ", 0xDD: "İ", 0xDE: "Ş", 0xF0: "ğ", 0xFD: "ı", 0xFE: "ş"}
_NONE = "\ufffd"


def supports(additional: bytes, table: int) -> bool:
    """Whether 9F40 claims the code table (Book 4, Annex A3: byte 4 bits 2 and 1, byte 5)."""
    if 1 <= table <= 8:
        return bool(additional[4] >> (table - 1) & 1)
    return 9 <= table <= 10 and bool(additional[3] >> (table - 9) & 1)


def decode(table: int, data: bytes) -> str:
    """``data`` in Unicode; "" when a byte has no character in a table of ours."""
    text = ""
    for byte in data:
        char = _NONE
        if 0x20 <= byte < 0x7F:
            char = chr(byte)
        elif byte >= 0xA0:
            char = _upper(table, byte)
        if char == _NONE:
            return ""
        text += char
    return text


def _upper(table: int, byte: int) -> str:
    if table in _UPPER:
        return _UPPER[table][byte - 0xA0]
    if byte == 0xAD or table not in (1, 5, 9):
        return _NONE
    if byte == 0xA0:
        return " "
    if table == 5:
        return {0xF0: "№", 0xFD: "§"}.get(byte) or chr(0x360 + byte)
    return _TURKISH.get(byte, chr(byte)) if table == 9 else chr(byte)
