"""The items of the storm: each a way to write, with the tables it writes."""

from dataclasses import dataclass
from typing import Callable

ITEMS = {}


@dataclass
class Item:
    name: str
    group: str
    schema: str
    # What the server may answer with, beside what any busy server may.
    expected: tuple
    # The oldest server that has what it takes, as `server_version_num` counts.
    since: int
    deed: Callable


def item(schema, expected=(), since=0):
    """Makes an item of a function that takes a session and does one deed with it."""

    def register(deed):
        group = deed.__module__
        ITEMS[deed.__name__] = Item(deed.__name__, group, schema, tuple(expected), since, deed)
        return deed

    return register
