"""The storm. `storm.py items` lists its items, `storm.py schema NAME…` prints the tables that these need, and
`storm.py run URL SECONDS SEED NAME…` lets sessions with every driver's habits do them all at once. A name is an item, a
group of them (a file), or `all`."""

import asyncio
import random
import sys
import time
from collections import Counter

import bulk, contention, ddl, keys, structure, transactions, unseen, values  # noqa: F401: they register their items
from items import ITEMS
from sessions import HABITS

# A busy server may end any transaction with these: serialization failure, deadlock.
BUSY = ("40001", "40P01")
SESSIONS_EACH = 2


def chosen(names):
    found = [item for item in ITEMS.values() if {item.name, item.group, "all"} & set(names)]
    unknown = set(names) - {"all"} - {name for item in found for name in (item.name, item.group)}
    assert not unknown, f"no such item or group: {unknown}"
    return found


async def deed(session, item, done, wrong):
    try:
        await item.deed(session)
        done[item.name] += 1
    except Exception as error:
        sqlstate = getattr(error, "sqlstate", None)
        if sqlstate in (*BUSY, *item.expected):
            done[f"{item.name}, ended by {sqlstate}"] += 1
        else:
            wrong[f"{item.name}, {type(session).__name__}: {type(error).__name__} {sqlstate} {error}"] += 1
    await session.clean()


async def weather(session, items, end, done, wrong):
    """Every item once, in an order of its own, then whatever comes."""
    order = session.dice.sample(items, len(items))
    while order or time.monotonic() < end:
        await deed(session, order.pop() if order else session.dice.choice(items), done, wrong)
    await session.close()


async def run(url, seconds, seed, items):
    done, wrong = Counter(), Counter()
    end = time.monotonic() + seconds
    sessions = [
        habit(number, random.Random(f"{seed} {number}"))
        for number, habit in enumerate(HABITS * SESSIONS_EACH)
    ]
    for session in sessions:
        await session.connect(url)
    [(version,)] = await sessions[0].run("select current_setting('server_version_num')::int")
    items = [item for item in items if item.since <= version]
    async with asyncio.TaskGroup() as group:
        for session in sessions:
            group.create_task(weather(session, items, end, done, wrong))
    for name, count in sorted(done.items()):
        print(f"{count:7} {name}")
    for item in items:
        if not done[item.name]:
            wrong[f"{item.name} never went well"] += 1
    if wrong:
        sys.exit("\n".join(f"{count} times: {what}" for what, count in wrong.items()))


match sys.argv[1:]:
    case ["schema", *names]:
        for item in chosen(names):
            print(f"-- {item.name}\n{item.schema}")
    case ["items"]:
        print(*ITEMS, sep="\n")
    case ["run", url, seconds, seed, *names]:
        asyncio.run(run(url, float(seconds), seed, chosen(names)))
    case _:
        sys.exit(__doc__)
