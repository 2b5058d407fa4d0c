"""The one family of errors: what was wrong, what the lab saw, what to do."""


class LabError(Exception):
    """Something the lab cannot do, said in words: what is wrong and what to do about it."""
