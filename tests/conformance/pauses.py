"""The suite, slowed down where rows are captured.

Writes right behind DDL are not captured, because the catalog is then being read anew; and in this suite nearly every write
comes right behind DDL. So the copy of a test pauses before the first write after anything else.
"""

import re

PAUSE = "\\! sleep ${PAUSE:-0}\n"
WRITE = re.compile(r"(insert|update|delete)\b", re.IGNORECASE)
READ = re.compile(r"(select|table|values|--|\\)", re.IGNORECASE)
QUOTE = re.compile(r"\$\w*\$")

# Seconds, while mirroring is on: before a write, and once behind all DDL. None elsewhere.
PAUSES = {"PAUSE": "0.3", "SETTLE": "8"}

# What writes rows in ways that a rewrite might show, in the order of the schedule.
TESTS = """
insert insert_conflict create_misc create_view triggers inherit constraints update delete returning rules portals privileges
rowsecurity updatable_views identity generated domain arrays transactions plancache with rowtypes truncate sequence
copy2 temp plpgsql merge prepared_xacts foreign_key alter_table
""".split()


def paced(script):
    """The lines of a test with the pauses put in."""
    out, settled, quoted, ended = [], False, False, True
    for line in script.splitlines(keepends=True):
        if ended and not quoted:
            if WRITE.match(line):
                out.extend([] if settled else [PAUSE])
                settled = True
            elif line.strip() and not READ.match(line):
                settled = False
        out.append(line)
        quoted ^= len(QUOTE.findall(line)) % 2 == 1
        ended = line.split("--")[0].rstrip().endswith(";") or (ended and not line.split("--")[0].strip())
    return "".join(out)
