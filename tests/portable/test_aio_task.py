"""Tasks that are cancelled before they began."""

from firmware import aio
from firmware.errors import TillError
from tests.portable.virtual_run import run


def test_a_task_cancelled_before_its_first_step_counts_as_ended():
    async def main():
        began = []

        async def work():
            began.append(1)
            await aio.sleep_ms(10)

        task = aio.spawn("work", work())
        task.cancel()
        await task.done.wait()
        await aio.sleep_ms(50)
        assert began == []
        try:
            await task.join()
            raise AssertionError("no error")
        except TillError as error:
            assert str(error) == "task work was cancelled"

    run(main())
