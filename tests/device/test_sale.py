"""The main job, whole device, virtual time."""

from firmware.payment.journal import records
from firmware.services import calendar
from tests.support import virtual_time
from tests.support.handheld import Handheld


def test_an_online_pin_sale_is_approved_booked_and_printed() -> None:
    async def story() -> None:
        t = Handheld()
        await t.power_on()
        await t.pay("1234", "approve")
        assert "result.approved" in t.keys_shown()
        await t.until("question")
        await t.press("enter")
        await t.until("remove_card")
        t.remove()
        await t.until("idle")
        assert t.books() == [("000002", 1234, "approved")]
        assert t.paper.count("CNY 12.34") == 2
        (request,) = [body for name, body in t.journal() if name == "REQUEST"]
        told = calendar.stamp(calendar.civil(request[records.K_TIME] + 8 * 3600))
        assert told == request[records.K_LOCAL_TIME] and request[records.K_TEST] is True
        await t.power_off()

    virtual_time.run(story())
