"""Every test of the repository may ask for real stores or a whole stack; the fixtures are in `tests/kit`."""

pytest_plugins = ["tests.kit.fixtures", "tests.kit.stack"]
