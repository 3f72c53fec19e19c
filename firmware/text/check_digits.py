"""The check digit that every GS1 number ends with. A leaf: no imports."""


def is_digits(text: str) -> bool:
    """One or more of 0 to 9 and nothing else."""
    for char in text:
        if not "0" <= char <= "9":
            return False
    return text != ""


def check_digit(digits: str) -> str:
    """The digit that completes ``digits``: weights 3 and 1 from the right (GS1 General
    Specifications, 7.9)."""
    total, weight = 0, 3
    for i in range(len(digits) - 1, -1, -1):
        total += int(digits[i]) * weight
        weight = 4 - weight
    return str(-total % 10)
