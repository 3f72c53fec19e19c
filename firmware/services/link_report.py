"""What the links do, told to whoever watches an emulated terminal (the debug link)."""

from firmware import aio
from firmware.services.link_supervisor import LinkSupervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.services.recovery_ladder import Step


#: How often it is seen whether something changed of which there is no step.
LOOK_MS = 500


def begin(devices: "Any", tell: "Callable[[dict[str, Any]], None]") -> "list[aio.Task]":
    """``tell`` hears at once and of each step and change from now on, until what this
    gives is cancelled. A board with one link has nothing to tell. ``tell`` must not raise."""
    network = devices.network
    if not isinstance(network, LinkSupervisor):
        return []
    told: "dict[str, Any]" = {}

    def heard(step: "Step | None") -> None:
        found = report(network, step)
        tell(found)
        told.update(found)

    async def look() -> None:
        while True:
            await aio.pause_ms(LOOK_MS)
            told["step"] = None
            if report(network, None) != told:
                heard(None)

    devices.step_listeners.append(heard)
    heard(None)
    return [aio.spawn("link report", look())]


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
