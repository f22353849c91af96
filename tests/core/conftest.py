"""Properties are tried on the same examples every time, and leave no files behind."""

from hypothesis import settings

settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")
