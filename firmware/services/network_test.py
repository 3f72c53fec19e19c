"""The way to the acquirer, step by step: bearer, name, connection, TLS, answer, clock.

Which step failed is told by the error: what went before it worked.
"""

from firmware.errors import TillError
from firmware.hal.network import HostUnreachable, LinkDown, NameUnknown, TlsFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.services.host_session import HostSession

FAILED = "boot.state.fail"


async def run(
    network: "Any", session: "HostSession"
) -> "tuple[list[tuple[str, str]], TillError | None]":
    """Lines (text key, value or text key) of the steps that were reached, and what
    ended the test. The caller holds the session's lock."""
    lines: "list[tuple[str, str]]" = []
    failed, error = "", None
    echo_ms, ahead = 0, None
    try:
        status = await network.status()
        if not status.up:
            raise LinkDown("no bearer")
        lines.append(("network.step.link", "network.kind." + status.kind))
        if status.address:
            lines.append(("network.step.address", status.address))
        echo_ms, ahead = await session.echo()
    except TillError as caught:
        error = caught
        failed = _step_of(caught)
    for step, ms in session.exchange.took:
        lines.append(("network.step." + step, str(ms) + " ms"))
    if failed == "tls":  # which comes after it
        lines.append(("network.step.connect", "boot.state.ok"))
    if failed:
        lines.append(("network.step." + failed, FAILED))
    else:
        spent = sum([ms for _, ms in session.exchange.took])
        lines.append(("network.step.echo", str(max(echo_ms - spent, 0)) + " ms"))
        if ahead is not None:
            sign = "+" if ahead > 0 else ""
            lines.append(("network.step.clock", sign + str(ahead) + " s"))
    return lines, error


def _step_of(error: TillError) -> str:
    if isinstance(error, LinkDown):
        return "link"
    if isinstance(error, TlsFailed):
        return "tls"
    if isinstance(error, NameUnknown):
        return "name"
    if isinstance(error, HostUnreachable):
        return "connect"
    return "echo"
