"""What a register asks for, in place of the merchant's keys (docs/register.md)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.app.terminal import Terminal
    from firmware.services.link_calls import Call, Handler

SERVICES = ("sale_start", "sale_state", "sale_abort", "test_sale")


def handlers(t: "Terminal") -> "dict[str, Handler]":
    """The services of a register, made at the first request: most terminals never get one."""
    made: "dict[str, Handler]" = {}

    async def serve(call: "Call") -> None:
        if not made:
            from firmware.services.register import RegisterCalls

            calls = RegisterCalls(t)
            t.register = calls.register
            made.update(calls.handlers())
        await made[call.service](call)

    return {name: serve for name in SERVICES}


def prepare() -> None:
    """A paired register is there: load what its first payment needs, before it asks."""
    for name in ("firmware.services.register", "firmware.app.amount_entry", "firmware.app.sale"):
        __import__(name)


async def run(t: "Terminal") -> None:
    """Carry out what waits at the idle screen."""
    register = t.register
    assert register is not None
    t.free = False
    t.order = order = register.take()
    if order is None:  # taken back before anybody saw it
        return
    free, t.slot_free = t.slot_free, False
    try:
        if order.training:
            from firmware.app import training

            await training.run(t, order, free)
        else:
            from firmware.app import sale

            await sale.run(t, "", free)
    finally:
        t.order = None
        register.done(order)
