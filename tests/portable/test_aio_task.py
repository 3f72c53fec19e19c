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


def test_a_protected_section_that_never_waits_gives_its_result():
    async def section():
        return 7

    async def main():
        assert await aio.protected(section()) == 7

    run(main())


def test_a_cancelled_protected_section_that_waits_still_runs_to_its_end():
    async def main():
        done = []
        event = aio.Event()

        async def section():
            done.append("begun")
            await event.wait()
            await aio.sleep_ms(0)
            try:
                await aio.deadline(5, aio.sleep_ms(1000))
            except TillError:
                done.append("late")

        async def caller():
            try:
                await aio.protected(section())
            except aio.CancelledError:
                done.append("cancelled")
                raise

        task = aio.spawn("caller", caller())
        await aio.sleep_ms(10)
        task.cancel()
        await aio.sleep_ms(10)
        assert done == ["begun"]
        event.set()
        await task.done.wait()
        assert done == ["begun", "late", "cancelled"]

    run(main())


def test_a_protected_section_raises_its_own_error_with_and_without_waits():
    async def section(wait):
        if wait:
            await aio.sleep_ms(1)
        raise TillError("mine")

    async def main():
        for wait in (False, True):
            try:
                await aio.protected(section(wait))
            except TillError as error:
                assert str(error) == "mine"
            else:
                raise AssertionError("the error was lost")

    run(main())
