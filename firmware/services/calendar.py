"""Calendar arithmetic in integers, the same on both interpreters.

``time.gmtime`` counts from 2000 on some MicroPython ports, and ``datetime``
is absent there.
"""


def civil(unix_seconds: int) -> "tuple[int, int, int, int, int, int]":
    """(year, month, day, hour, minute, second) of Unix seconds, proleptic
    Gregorian, UTC. Howard Hinnant's algorithm: eras of 400 years from 1 March."""
    days, rest = divmod(unix_seconds, 86400)
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_index + 2) // 5 + 1
    month = month_index + 3 if month_index < 10 else month_index - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return year, month, day, rest // 3600, rest % 3600 // 60, rest % 60


def unix(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """Inverse of ``civil``."""
    shifted_year = year - 1 if month <= 2 else year
    era, year_of_era = divmod(shifted_year, 400)
    month_index = month - 3 if month > 2 else month + 9
    day_of_year = (153 * month_index + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    days = era * 146097 + day_of_era - 719468
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def nearest(date: str, time: str, now: int) -> "int | None":
    """Unix seconds of host date MMDD and time hhmmss in the year that brings
    them closest to ``now`` (both in local time); None if they are no date."""
    if len(date) != 4 or len(time) != 6 or not (date + time).isdigit():
        return None
    month, day = int(date[:2]), int(date[2:])
    hour, minute, second = int(time[:2]), int(time[2:4]), int(time[4:])
    best = None
    this_year = civil(now)[0]
    for year in (this_year - 1, this_year, this_year + 1):
        there = unix(year, month, day, hour, minute, second)
        if not 1 <= month <= 12 or civil(there) != (year, month, day, hour, minute, second):
            continue  # 29 February in another year, 31 June, hour 24
        if best is None or abs(there - now) < abs(best - now):
            best = there
    return best


def digits(value: int, width: int) -> str:
    """``value`` in at least ``width`` digits, zero-filled."""
    text = str(value)
    return "0" * (width - len(text)) + text


def stamp(moment: "tuple[int, int, int, int, int, int]") -> str:
    """YYYYMMDDhhmmss of a ``civil`` tuple."""
    return digits(moment[0], 4) + "".join([digits(part, 2) for part in moment[1:]])
