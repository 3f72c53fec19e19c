"""A PC's request made by hand, for handlers on their own. Runs under MicroPython too."""

from firmware import aio
from firmware.link.services import SERVICES, CallRefused, check
from firmware.services.link_calls import Call
from tests.portable.virtual_run import run


def played(test):
    """``test``, an ``async def`` without arguments, as a test on virtual time."""

    def alone():
        run(test())

    return alone


class MadeCall(Call):
    """``items``: what the handler sent, each checked against the table; ``ended``: its END.
    ``coming``: what the PC sends, (last, value) in order. ``slow``: the PC reads nothing
    until the event is set."""

    def __init__(self, service, arguments, roles=("sync", "service"), most_message=65536):
        self.service = service
        self.arguments = check(SERVICES[service][1], arguments)
        self.roles = roles
        self.key = bytes(range(32))
        self.name = "Back office"
        self.most_message = most_message
        self.items = []
        self.ended = None
        self.coming = []
        self.slow = None
        self.news = aio.Event()

    async def item(self, value):
        if self.slow is not None:
            await self.slow.wait()
        schema = SERVICES[self.service][2]
        assert schema is not None, self.service + " has no items"
        self.items.append(check(schema, value))
        self.news.set()

    async def end(self, value):
        assert self.ended is None, "a second END"
        self.ended = check(SERVICES[self.service][3], value)
        self.news.set()

    async def next(self):
        return self.coming.pop(0)


async def ask(handlers, service, arguments, **made):
    """Do one request to its end; the call."""
    call = MadeCall(service, arguments, **made)
    await handlers[service](call)
    assert call.ended is not None, service + " did not end"
    return call


async def refused(handlers, service, arguments, **made):
    """The code and details that a request is refused with."""
    call = MadeCall(service, arguments, **made)
    try:
        await handlers[service](call)
    except CallRefused as error:
        assert call.ended is None
        return error.code, error.details
    raise AssertionError("answered: " + str(call.ended))
