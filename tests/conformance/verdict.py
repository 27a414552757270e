"""Comparing what the tests said, run by run."""

import difflib

LINES = 30


def differing(one, other):
    """The names of the tests that said another thing."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def show(name, direct, proxied):
    """The first lines of the difference in one test."""
    lines = (text.get(name, "(did not run)").splitlines() for text in (direct, proxied))
    diff = list(difflib.unified_diff(*lines, "direct", "through crossfade", n=2, lineterm=""))
    print(f"--- {name}: {len(diff)} lines of difference")
    for line in diff[:LINES]:
        print("   ", line.encode(errors="replace").decode())
