"""Every test of the repository may ask for real stores; the fixtures are in `tests/kit`."""

pytest_plugins = ["tests.kit.fixtures"]
