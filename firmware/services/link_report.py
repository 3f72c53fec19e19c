"""What the links do, told to whoever watches an emulated terminal (the debug link)."""

from firmware.services.link_supervisor import LinkSupervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.services.recovery_ladder import Step


def begin(devices: "Any", tell: "Callable[[dict[str, Any]], None]") -> None:
    """``tell`` hears at once and at each step from now on. A board with one link has
    nothing to tell. ``tell`` must not raise."""
    network = devices.network
    if not isinstance(network, LinkSupervisor):
        return

    def heard(step: "Step | None") -> None:
        tell(report(network, step))

    devices.on_step = heard
    heard(None)


def report(network: LinkSupervisor, step: "Step | None") -> "dict[str, Any]":
    """``active``: name of the link that carries; ``links``: each with what is known of
    it; ``step``: what was just done or found, None for nothing."""
    links = [
        {
            "name": way.name,
            "kind": way.bearer.kind,
            "state": way.state,
            "cause": way.cause,
            "bars": way.bars,
        }
        for way in network.ways
    ]
    done = None
    if step is not None:
        done = {
            "link": step.link,
            "what": step.what,
            "cause": step.cause,
            "result": step.result,
            "took_ms": step.took_ms,
        }
    return {"active": network.active.name, "links": links, "step": done}
