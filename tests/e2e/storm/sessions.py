"""Sessions of an application, by the habits of their drivers; to the items of the storm they are all alike."""

import io
import re
from contextlib import asynccontextmanager

import asyncpg
import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus


class Refused(Exception):
    """What the server answered with an error."""

    def __init__(self, error):
        super().__init__(str(error))
        self.sqlstate = error.sqlstate


class Session:
    """Parameters are `$1`, `$2` … with every driver."""

    def __init__(self, number, dice):
        self.number, self.dice = number, dice

    @asynccontextmanager
    async def transaction(self, begin="begin"):
        await self.run(begin)
        yield
        await self.run("commit")

    async def fails(self, deed):
        """Does what the server has to refuse."""
        try:
            await deed
        except Refused:
            return
        raise AssertionError("not refused")

    async def clean(self):
        """As a pool leaves a session to its next user."""
        if self.in_transaction():
            await self.script("rollback")


class Prepared(Session):
    """asyncpg: everything prepared, cached and binary."""

    async def connect(self, url):
        self.connection = await asyncpg.connect(url)

    async def run(self, statement, *arguments):
        try:
            return [tuple(row) for row in await self.connection.fetch(statement, *arguments)]
        except asyncpg.PostgresError as error:
            raise Refused(error) from error

    async def script(self, text):
        try:
            await self.connection.execute(text)
        except asyncpg.PostgresError as error:
            raise Refused(error) from error

    async def many(self, statement, rows):
        try:
            await self.connection.executemany(statement, rows)
        except asyncpg.PostgresError as error:
            raise Refused(error) from error

    async def copy(self, table, columns, data, format="text", freeze=False):
        source = io.BytesIO(data)
        try:
            await self.connection.copy_to_table(table, source=source, columns=columns, format=format, freeze=freeze)
        except asyncpg.PostgresError as error:
            raise Refused(error) from error

    async def copy_binary(self, table, columns, types, rows):
        try:
            await self.connection.copy_records_to_table(table, records=rows, columns=columns)
        except asyncpg.PostgresError as error:
            raise Refused(error) from error

    def in_transaction(self):
        return self.connection.is_in_transaction()

    async def close(self):
        await self.connection.close()


class Extended(Session):
    """psycopg: parameters as text, prepared after the fifth time."""

    async def connect(self, url):
        self.connection = await psycopg.AsyncConnection.connect(url, autocommit=True)

    async def run(self, statement, *arguments):
        try:
            cursor = psycopg.AsyncRawCursor(self.connection)
            await cursor.execute(statement, arguments or None)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise Refused(error) from error

    async def script(self, text):
        try:
            await self.connection.execute(text)
        except psycopg.Error as error:
            raise Refused(error) from error

    async def many(self, statement, rows):
        try:
            await psycopg.AsyncRawCursor(self.connection).executemany(statement, rows)
        except psycopg.Error as error:
            raise Refused(error) from error

    async def copy(self, table, columns, data, format="text", freeze=False):
        async with self._copy(table, columns, f"{format}, freeze {freeze}") as copy:
            for at in range(0, len(data), 4096):
                await copy.write(data[at : at + 4096])

    async def copy_binary(self, table, columns, types, rows):
        async with self._copy(table, columns, "binary") as copy:
            copy.set_types(types)
            for row in rows:
                await copy.write_row(row)

    @asynccontextmanager
    async def _copy(self, table, columns, format):
        names = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))) if columns else sql.SQL("")
        statement = sql.SQL("copy {} {} from stdin (format {})").format(sql.Identifier(table), names, sql.SQL(format))
        try:
            async with self.connection.cursor().copy(statement) as copy:
                yield copy
        except psycopg.Error as error:
            raise Refused(error) from error

    def in_transaction(self):
        return self.connection.info.transaction_status != TransactionStatus.IDLE

    async def close(self):
        await self.connection.close()


class Simple(Extended):
    """psycopg: simple queries, with the parameters in their text."""

    async def run(self, statement, *arguments):
        def literal(match):
            return sql.Literal(arguments[int(match[1]) - 1]).as_string(self.connection)

        if arguments:
            statement = re.sub(r"\$(\d+)", literal, statement)
        return await super().run(statement)


HABITS = [Prepared, Extended, Simple]
