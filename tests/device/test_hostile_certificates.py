"""Certificates that are wrong on either side: a message, no payment, no debt."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from host_tools.acquirer.pki import SERVER_NAME, Authority, der, server_context
from tests.support import virtual_time
from tests.support.handheld import Handheld
from tests.support.hostile import to_idle

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover

STRANGER = Authority.create("ecdsa")
#: Certificates are judged by the host's clock here; these are wrong on any day.
PAST, PRESENT, FUTURE = (datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2021, 2048))


def _wrong_ca(t: Handheld) -> ssl.SSLContext:
    return server_context(STRANGER, STRANGER.issue_server())


def _wrong_name(t: Handheld) -> ssl.SSLContext:
    own = t.acquirer.authority
    return server_context(own, own.issue_server(names=("another.test",)))


def _expired(t: Handheld) -> ssl.SSLContext:
    own = t.acquirer.authority
    return server_context(own, own.issue_server(not_before=PAST, not_after=PRESENT))


def _not_yet_valid(t: Handheld) -> ssl.SSLContext:
    own = t.acquirer.authority
    return server_context(own, own.issue_server(not_before=FUTURE))


def _client_refused(t: Handheld) -> ssl.SSLContext:
    """The bank shows its own certificate, and takes only a stranger's clients."""
    return server_context(STRANGER, t.acquirer.authority.issue_server())


def _oversized(t: Handheld) -> ssl.SSLContext:
    """Right in all, and of more bytes than any host's needs: 5000 names."""
    own = t.acquirer.authority
    names = (SERVER_NAME, *(f"till-{number}.{'x' * 20}.test" for number in range(5000)))
    server = own.issue_server(names=names)
    assert len(der(server.certificate)) > 150_000
    return server_context(own, server)


WRONG = (_wrong_ca, _wrong_name, _expired, _not_yet_valid, _client_refused, _oversized)


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda make: make.__name__.strip("_"))
def test_a_wrong_certificate_stops_the_payment_before_it_is_sent(
    wrong: Callable[[Handheld], ssl.SSLContext], signed_in: bool
) -> None:
    async def story() -> None:
        t = Handheld()
        await t.power_on()
        if signed_in:
            await t.pay("100", "no-cvm")
            await t.back_to_idle()
        before = t.books()
        honest, t.acquirer.context = t.acquirer.context, wrong(t)
        await t.pay("1234", "approve", "result", "message")
        assert "error.network_tls" in t.keys_shown(), t.text
        if t.screen["screen"] == "result":
            assert "charged.no" in t.keys_shown()
        await to_idle(t)
        await asyncio.sleep(30)
        assert t.books() == before
        assert "idle.reversal_owed" not in t.keys_shown()
        t.acquirer.context = honest
        t.remove()
        await t.pay("200", "no-cvm")
        assert "result.approved" in t.keys_shown()
        await t.power_off()

    virtual_time.run(story())
