"""Every test of the repository may ask for real stores or a whole stack; the fixtures are in `tests/kit`."""

from hypothesis import settings

pytest_plugins = ["tests.kit.fixtures", "tests.kit.stack"]

# How long an example takes says more of the machine than of the code; pytest's own timeout catches what hangs.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
