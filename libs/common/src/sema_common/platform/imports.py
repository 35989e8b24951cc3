"""Libraries take what they find: a metrics SDK, a console, green threads. What no service uses is kept from them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """While this is open, modules of these names that nobody has loaded yet cannot be imported (ImportError)."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: "do not even look for it"
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
