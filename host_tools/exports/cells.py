"""Text from outside as a cell of a spreadsheet."""

from host_tools.reports.amounts import printable

#: A cell that begins with one of these may be taken for a formula; the full-width ones too,
#: which spreadsheets in Chinese and Japanese read alike.
_FORMULA = "=+-@\t\r\n|%＝＋－＠"


def text_cell(text: str) -> str:
    """``text`` that no spreadsheet runs: with an apostrophe before what could be a formula."""
    shown = printable(text)
    begin = text.lstrip(" \u00a0\u3000")[:1]
    return "'" + shown if begin and begin in _FORMULA else shown
