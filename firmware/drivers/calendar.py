"""Civil calendar and Unix seconds, UTC, with integers only (both interpreters).

Days are counted by the usual algorithm on a year that begins in March
(H. Hinnant, "chrono-compatible low-level date algorithms").
"""


def unix_from_civil(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Unix seconds of a UTC date. ValueError when there is no such date."""
    if not (1970 <= year <= 2199 and 1 <= month <= 12 and 1 <= day <= month_days(year, month)):
        raise ValueError("no such date")
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59):
        raise ValueError("no such time of day")
    y = year - (1 if month <= 2 else 0)
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def civil_from_unix(seconds: int) -> "tuple[int, int, int, int, int, int, int]":
    """(year, month, day, hour, minute, second, weekday 0 Monday) in UTC."""
    days, rest = divmod(seconds, 86400)
    z = days + 719468
    era = z // 146097
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + (3 if mp < 10 else -9)
    year = yoe + era * 400 + (1 if month <= 2 else 0)
    day = doy - (153 * mp + 2) // 5 + 1
    return year, month, day, rest // 3600, rest // 60 % 60, rest % 60, (days + 3) % 7


def month_days(year: int, month: int) -> int:
    """Days of a month."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31
