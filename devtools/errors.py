"""The one kind of failure that dev.py explains."""


class DevError(Exception):
    """Something the user can put right; its text is shown as it is, without a traceback."""
