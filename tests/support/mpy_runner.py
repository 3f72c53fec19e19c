"""Runs portable test files; works under CPython and MicroPython.

    micropython -X heapsize=8M tests/support/mpy_runner.py ROOT MODULE...

Each MODULE is a dotted name whose ``test_*`` functions take no argument. One
line a failure; the last line is ``N passed, N failed``; exit 1 on failure.
"""

import gc
import sys


def run(names):  # type: ignore[no-untyped-def]  # also runs where typing is absent
    passed = failed = 0
    for name in names:
        try:
            module = __import__(name, None, None, ("*",))
        except Exception as error:  # noqa: BLE001 - a runner reports whatever a test raises
            failed += 1
            print("FAILED import " + name)
            sys.print_exception(error)
            continue
        for attribute in sorted(dir(module)):
            if not attribute.startswith("test_"):
                continue
            try:
                getattr(module, attribute)()
                passed += 1
            except Exception as error:  # noqa: BLE001 - as above
                failed += 1
                print("FAILED " + name + "." + attribute)
                sys.print_exception(error)
            gc.collect()
    print(str(passed) + " passed, " + str(failed) + " failed")
    return failed


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    sys.exit(1 if run(sys.argv[2:]) else 0)
