"""Runs the unittest suite of the package `tests` here, and writes what became of each test as it becomes known.

Usage: unittests.py RESULTS LEFT_OUT [NAME...]: the file for the results, a line of JSON each; patterns of tests that do not
run, separated by commas; parts of the names of those that do (all).
"""

import faulthandler
import fnmatch
import json
import sys
import traceback
import unittest

# Seconds for one test. What runs longer hangs: the run ends there, and says where.
LIMIT = 120


class Outcomes(unittest.TestResult):
    """Tells outcomes to a file, one by one."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def startTest(self, test):
        super().startTest(test)
        faulthandler.dump_traceback_later(LIMIT, exit=True)

    def addSuccess(self, test):
        self._tell(test, "passed")

    def addSkip(self, test, reason):
        self._tell(test, f"skipped: {reason}")

    def addFailure(self, test, error):
        self._tell(test, "failed", error)

    def addError(self, test, error):
        self._tell(test, "error", error)

    def addExpectedFailure(self, test, error):
        self._tell(test, "failed as expected", error)

    def addUnexpectedSuccess(self, test):
        self._tell(test, "passed unexpectedly")

    def addSubTest(self, test, subtest, error):
        if error:
            self._tell(subtest, "failed", error)

    def _tell(self, test, outcome, error=None):
        said = "".join(traceback.format_exception_only(*error[:2])) if error else ""
        print(json.dumps([test.id(), f"{outcome}\n{said}"]), file=self.file, flush=True)


def flat(suite):
    for test in suite:
        yield from flat(test) if isinstance(test, unittest.TestSuite) else [test]


def main():
    results, left_out, *names = sys.argv[1:]
    found = flat(unittest.defaultTestLoader.discover("tests", top_level_dir="."))
    kept = [test for test in found if not any(fnmatch.fnmatchcase(test.id(), pattern) for pattern in left_out.split(","))]
    chosen = [test for test in kept if not names or any(name in test.id() for name in names)]
    with open(results, "w") as file:
        unittest.TestSuite(chosen).run(Outcomes(file))


if __name__ == "__main__":
    sys.path.insert(0, ".")
    main()
