"""What tests of cryptography share: hexadecimal text, and calls that must be refused."""

from firmware.crypto import CryptoError


def h(text):
    """Bytes of hexadecimal text."""
    return bytes.fromhex(text)


def error_of(function, *args):
    """The CryptoError that the call must end in."""
    try:
        function(*args)
    except CryptoError as error:
        return error
    raise AssertionError("not refused")


def refused(function, *args):
    """Its detail."""
    return error_of(function, *args).detail


def refused_as(kind, function, *args):
    """Its detail; it must be of ``kind`` itself, none of its children."""
    error = error_of(function, *args)
    assert type(error) is kind, error
    return error.detail
