"""asyncpg's suite with a pause behind DDL of PAUSE seconds, in which the catalog is read anew: the writes behind it are captured."""

import asyncio
import functools
import os
import re
import sys

from asyncpg.connection import Connection

import unittests

DDL = re.compile(r"\s*(create|alter)\s+(table|type|domain)\b", re.IGNORECASE)
execute = Connection.execute


@functools.wraps(execute)
async def paced(connection, query, *arguments, **options):
    answer = await execute(connection, query, *arguments, **options)
    if DDL.match(query) and not connection.is_in_transaction():
        await asyncio.sleep(float(os.environ["PAUSE"]))
    return answer


Connection.execute = paced
sys.path.insert(0, ".")
unittests.main()
