"""The one base of every error that OpenTill raises.

MicroPython cannot make a class with two builtin exception bases and lacks
TimeoutError and ConnectionError, so every error here derives from TillError
only (docs/portable.md).
"""


class TillError(Exception):
    """Base of every error of the project.

    ``text_key`` names the catalogue entry that a merchant may be shown (what
    happened, was the customer charged, what to do next); ``detail`` is one
    line for the engineer, without secrets.
    """

    text_key = "error.internal"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail or self.__class__.__name__


class Timeout(TillError):
    """An operation passed its deadline on the injected clock."""

    text_key = "error.timeout"


class Cancelled(TillError):
    """The merchant or the customer gave up; the flow unwinds."""

    text_key = "error.cancelled"
