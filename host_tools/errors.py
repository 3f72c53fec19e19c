"""Errors that a user of ``till`` may see."""


class UserError(Exception):
    """Something the user can mend; its text says what is wrong and what to do."""
