// What node-postgres can do, section by section, each step printed: directly and through crossfade it must print the same.
'use strict'

const fs = require('fs')
const path = require('path')
const { pipeline } = require('stream/promises')
const { Readable } = require('stream')
const { setTimeout: pause } = require('timers/promises')
const { Client, Pool, Query, types } = require('pg')
const Cursor = require('pg-cursor')
const { from: copyFrom, to: copyTo } = require('pg-copy-streams')

const FIELDS = ['severity', 'code', 'message', 'detail', 'hint', 'position', 'internalPosition', 'internalQuery', 'where', 'schema',
  'table', 'column', 'dataType', 'constraint', 'file', 'line', 'routine']

function tell(...what) {
  console.log(...what.map((one) => (typeof one === 'string' ? one : JSON.stringify(one, plain))))
}

function plain(_, value) {
  return typeof value === 'bigint' ? String(value) : value
}

function result(from) {
  for (const one of [].concat(from)) {
    const fields = one.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format, f.tableID > 0, f.columnID])
    tell(one.command, one.rowCount, one.oid, fields, one.rows)
  }
}

function refused(error) {
  tell('refused', error.constructor.name, Object.fromEntries(FIELDS.filter((name) => error[name] !== undefined).map((name) => [name, error[name]])))
}

async function attempt(client, ...statement) {
  try {
    result(await client.query(...statement))
  } catch (error) {
    refused(error)
  }
}

async function connected(use, settings) {
  const client = new Client(settings)
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

async function parameters(client) {
  const set = { application_name: 'the program', options: '-c work_mem=5MB -c DateStyle=German', statement_timeout: 5000, lock_timeout: 4000 }
  await connected(async (other) => {
    result(await other.query("select current_setting('work_mem'), current_setting('application_name'), current_setting('statement_timeout'), current_setting('lock_timeout'), date '2026-01-02'::text"))
    result(await other.query("insert into keyed (name) values ($1) returning name", ['Münze']))
  }, set)
  result(await client.query('select pg_backend_pid() = $1 as mine', [client.processID]))
  for (const wrong of [{ database: 'nowhere' }, { user: 'nobody' }, { options: '-c nothing=1' }, { ssl: true }]) {
    await connected(() => tell('connected'), wrong).catch(refused)
  }
}

async function reads(client) {
  for (let n = 1; n < 6; n++) {
    await attempt(client, 'select * from settled where id = $1', [n])
    await attempt(client, { name: 'settled', text: 'select * from settled where id = $1', values: [n] })
    await attempt(client, `select * from settled where id = ${n}`)
    await attempt(client, { name: 'settled binary', text: 'select id, label, n, int8, bool from settled where id = $1', values: [n], rowMode: 'array', binary: true })
  }
  await attempt(client, 'select count(*)::int, sum(int8), min(label), max(day) from settled where n > $1', [3])
  await attempt(client, 'select a.id, b.label from settled a join settled b on b.id = a.n where a.id < $1 order by a.id', [20])
  await attempt(client, 'select id from settled where id = $1', [-1])
  await attempt(client, 'select label from settled where id = any($1) order by id', [[1, 10, 100]])
  for (const wrong of ['select 1 / (id - 1) from settled where id = 1', 'select nothing from settled', "select 'x'::int from settled"]) {
    await attempt(client, wrong)
    await attempt(client, { text: wrong, queryMode: 'extended' })
    await attempt(client, { name: wrong, text: wrong })
    await attempt(client, 'select label from settled where id = $1', [7])
  }
  const wide = await client.query('select a.label as a, b.label as b from settled a, settled b where b.id <= 20 order by a.id, b.id')
  tell(wide.rows.length, wide.rows[9999])
  for (const setting of ["TimeZone = 'Asia/Tokyo'", "DateStyle = 'SQL, DMY'", "bytea_output = 'escape'", 'extra_float_digits = -3']) {
    await client.query(`set ${setting}`)
    await attempt(client, 'select at::text, day::text, bytea::text, float8::text from settled where id = $1', [9])
  }
  await client.query('reset all')
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => client.query('select label from settled where id = $1', [n])))
  tell(answers.map((answer) => answer.rows))
  for (let n = 0; n < 5; n++) {
    await client.query('insert into keyed (name, n) values ($1, $2)', [`read ${n}`, n])
    await attempt(client, "select name, n from keyed where name like 'read %' order by name")
    await client.query("update keyed set n = n + 1 where name like 'read %'")
    await attempt(client, { name: 'sum', text: 'select sum(n)::int from keyed where name like $1', values: ['read %'] })
  }
}

async function typed(client) {
  result(await client.query('insert into typed select (typed_values()).*'))
  const read = await client.query('select * from typed')
  result(read)
  // As text, as it came; then every value sent again as a parameter.
  const asText = { getTypeParser: () => (value) => value }
  const text = await client.query({ text: 'select * from typed', types: asText, rowMode: 'array' })
  result(text)
  const names = text.fields.map((field) => field.name)
  const marks = names.map((_, at) => '$' + (at + 1)).join(', ')
  await attempt(client, { text: `insert into typed values (${marks}) returning *`, values: [2, ...text.rows[0].slice(1)], types: asText })
  await attempt(client, { text: 'select * from typed order by id', types: asText, rowMode: 'array', binary: true })
  await attempt(client, { text: "update typed set text = 'binary' where id = 2 returning id, int8, float8, bytea, texts, timestamptz", types: asText, rowMode: 'array', binary: true })
  await attempt(client, 'update typed set int8 = $1, bytea = $2, jsonb = $3, texts = $4, timestamptz = $5, bool = $6, float8 = $7 where id = $8 returning *',
    ['9007199254740993', Buffer.from([0, 255]), { a: [1, null] }, ['x', null, '"'], new Date(Date.UTC(2026, 0, 2)), true, 1.5, 2])
  await attempt(client, 'update typed set int8 = $1, text = $2 where id = 2', [null, undefined])
  types.setTypeParser(20, BigInt)
  await attempt(client, 'select max(int8) as max from typed')
}

async function prepared(client) {
  for (let n = 0; n < 6; n++) {
    await attempt(client, { name: 'insert keyed', text: 'insert into keyed (name, n) values ($1, $2)', values: [`name ${n}`, n] })
    await attempt(client, { name: 'update keyed', text: 'update keyed set n = n + $1 where name = $2 returning name, n', values: [n, `name ${n}`] })
    await attempt(client, { name: 'insert keyless', text: 'insert into keyless values ($1, $2)', values: ['again', n], rowMode: 'array' })
    await attempt(client, { name: 'delete keyless', text: 'delete from keyless where n = $1', values: [n] })
    await attempt(client, 'update keyed set n = n - $1 where name = $2', [n, `name ${n}`])
  }
  await attempt(client, { name: 'insert keyed', text: 'another text' })
  await client.query('alter table keyless add extra text')
  await attempt(client, { name: 'insert keyless', text: 'insert into keyless values ($1, $2)', values: ['changed', 1] })
  await client.query('alter table keyless drop extra')
  await attempt(client, { name: 'fails', text: 'insert into keyed (name) values ($1) returning nothing', values: ['x'] })
  await attempt(client, { name: 'fails', text: 'insert into keyed (name) values ($1) returning name', values: ['mended'] })
  await client.query('deallocate "insert keyed"')
  await attempt(client, { name: 'insert keyed', text: 'insert into keyed (name, n) values ($1, $2)', values: ['gone', 1] })
  await client.query('deallocate all')
  await attempt(client, { name: 'update keyed', text: 'update keyed set n = n + $1 where name = $2 returning name, n', values: [1, 'name 1'] })
  await attempt(client, { name: 'fresh', text: 'update keyed set n = n + $1 where name = $2 returning name, n', values: [1, 'name 1'] })
}

async function several(client) {
  await attempt(client, `insert into keyed (name, n) values ('several', 1); update keyed set n = 2 where name = 'several' returning n;
    select 1 as one, 2 as two; insert into keyless values ('several'), ('several'); delete from keyed where name = 'several';; values (1), (2)`)
  await attempt(client, "insert into keyed (name) values ('a'); insert into keyed (name) values ('a')")
  await attempt(client, "insert into keyed (name) values ('a'); selec 1")
  await attempt(client, "begin; insert into keyless values ('one message', 1); commit; insert into keyless values ('one message', 2) returning *; select 1 / 0")
  await attempt(client, "select * from keyless where name = 'one message'")
  await attempt(client, '')
  await attempt(client, { text: '', values: [] })
  await attempt(client, "select $1::int; select 2", [1])
}

async function queued(client) {
  // Many before the first answer, with errors between them: the driver keeps them back, or sends them all.
  await connected((other) => together(other, 'sent'), { pipeline: true })
  await together(client, 'kept')
}

async function together(client, name) {
  const statements = []
  for (let n = 0; n < 10; n++) {
    statements.push(['insert into keyed (name, n) values ($1, $2) returning name', [`${name} ${n % 7}`, n]])
    statements.push([{ name, text: 'update keyed set n = $1 where name = $2', values: [n, `${name} ${n}`] }])
    statements.push([`delete from keyless where n = ${n}; insert into keyless values ('queued', ${n})`])
    statements.push(['select 1 / $1::int as one', [n % 3]])
  }
  const outcomes = statements.map((statement) => client.query(...statement).then((answer) => [result, answer], (error) => [refused, error]))
  for (const [show, outcome] of await Promise.all(outcomes)) show(outcome)
}

async function copies(client) {
  const rows = Array.from({ length: 200 }, (_, n) => `copied ${n}\t${n}\n`)
  await pipeline(Readable.from(rows), client.query(copyFrom('copy keyed (name, n) from stdin')))
  await pipeline(Readable.from(['name,n\n"csv, one",1\n', 'csv two,\n']), client.query(copyFrom('copy keyless from stdin (format csv, header)')))
  for (const statement of ['copy (select name, n from keyed order by id) to stdout', 'copy (select * from keyless order by 1, 2) to stdout (format binary)']) {
    const parts = []
    const stream = client.query(copyTo(statement))
    for await (const part of stream) parts.push(part)
    tell(Buffer.concat(parts).toString('latin1'), stream.rowCount)
  }
  for (const lines of ['copied\t1\nnonsense\n', 'a\tb\n', 'copied 1\t1\n']) {
    await pipeline(Readable.from([lines]), client.query(copyFrom('copy keyed (name, n) from stdin'))).catch(refused)
  }
  const given = (async function* () {
    yield 'half\t1\n'
    throw new Error('the client gives up')
  })()
  await pipeline(Readable.from(given), client.query(copyFrom('copy keyed (name, n) from stdin'))).catch(refused)
  await attempt(client, 'select count(*)::int, count(n)::int as n from keyed')
}

async function cursors(client) {
  const cursor = client.query(new Cursor('select g, $1 || g as label from generate_series(1, 40) g', ['row ']))
  for (let rows; (rows = await cursor.read(7)).length; ) tell(rows)
  await cursor.close()
  const early = client.query(new Cursor('select name from keyed order by id'))
  tell(await early.read(2))
  await early.close()
  // Rows in portions of a statement that writes.
  const writer = client.query(new Cursor("insert into keyless select 'portion', g from generate_series(1, 10) g returning n"))
  tell(await writer.read(3), await writer.read(3), await writer.read(10))
  await writer.close()
  await client.query('begin')
  const updater = client.query(new Cursor("update keyed set n = n + 1 where name like 'copied 1%' returning name"))
  tell((await updater.read(5)).length)
  await updater.close()
  await attempt(client, "select sum(n)::int from keyed where name like 'copied 1%'")
  await client.query('commit')
  await attempt(client, "select sum(n)::int from keyed where name like 'copied 1%'")
  const wrong = client.query(new Cursor('select 1 / (g - 3) from generate_series(1, 5) g'))
  await wrong.read(10).then(tell, refused)
  await attempt(client, { text: "update keyless set n = n + 1 where name = 'portion' returning n", rows: 4, values: [] })
  await attempt(client, { text: 'select g from generate_series(1, 10) g', rows: 4, values: [] })
}

async function transactions(client) {
  for (const level of ['read committed', 'repeatable read', 'serializable', 'serializable read only deferrable']) {
    await client.query(`begin isolation level ${level}`)
    await attempt(client, "update keyed set n = n + 1 where name = $1", ['copied 1'])
    await attempt(client, 'select 1 as one')
    await attempt(client, 'commit')
  }
  await client.query('begin')
  await attempt(client, "insert into keyed (name, n) values ('in parts', 0)")
  await attempt(client, 'savepoint one')
  await attempt(client, 'update keyed set n = 1 where name = $1', ['in parts'])
  await attempt(client, 'insert into keyed (name) values ($1)', ['in parts'])
  await attempt(client, 'insert into keyless values ($1)', ['never'])
  await attempt(client, 'rollback to one')
  await attempt(client, 'insert into keyless values ($1)', ['behind the savepoint'])
  await attempt(client, 'commit')
  await attempt(client, "select n from keyed where name = 'in parts'")
  await attempt(client, 'rollback')
  // Two at once: the second waits, then fails to be serialized.
  await connected(async (other) => {
    await client.query('begin isolation level repeatable read')
    await client.query('select 1')
    await other.query("update keyed set n = 5 where name = 'copied 2'")
    await attempt(client, "update keyed set n = 6 where name = 'copied 2' returning n")
    await attempt(client, 'commit')
  })
}

async function errors(client) {
  const statements = ["insert into keyed (id, name) values (1, 'taken')", "insert into keyed (name) values ('copied 1')", 'insert into keyed (n) values (1000)',
    'insert into keyed (parent) values (-1)', 'insert into keyed (nothing) values (1)', 'insert into nothing values (1)', "update keyed set n = 'x'",
    'update keyed set n = 1 / 0', 'update keyed set n = nothing(1)', 'delete from keyed where', "delete from keyed where 'ü' = nothing", 'insert into made (id) values (1)',
    'update made set twice = 1', 'insert into parted values (5000)', 'insert into typed (id, positive) values (99, -1)', 'selec 1',
    "do $$ begin raise exception 'raised' using errcode = 'UX001', detail = 'd', hint = 'h', column = 'c', table = 't', schema = 's', datatype = 'x', constraint = 'y'; end $$"]
  for (const statement of statements) {
    await attempt(client, statement)
    await attempt(client, { text: statement, values: [], queryMode: 'extended' })
    await attempt(client, 'insert into keyless values ($1, 0)', ['after it'])
  }
  await attempt(client, 'insert into keyed (name, n) values ($1, $2)', ['a', 'b'])
  await attempt(client, 'insert into keyed (name, n) values ($1, $2)', ['a'])
  await attempt(client, 'insert into keyed (name, n) values ($1, $2)', ['a\0b', 1])
  await attempt(client, { name: 'divide', text: 'insert into keyed (n) values ($1::int / $2::int)', values: [1, 0] })
  await attempt(client, { name: 'divide', text: 'insert into keyed (n) values ($1::int / $2::int)', values: [4, 2] })
  await attempt(client, "select count(*)::int from keyless where name = 'after it'")
}

async function generated(client) {
  await attempt(client, 'insert into made (n) values ($1), ($2) returning *', [4, 5])
  await attempt(client, 'insert into made (id, n) overriding system value values (100, 1) returning id, twice as t')
  await attempt(client, 'update made set n = n + 1 where n > $1 returning id, made, n as "the n"', [3])
  await attempt(client, "insert into keyed (name) values ('conflict'), ('copied 3') on conflict (name) do update set n = 9 returning name, n, xmax = 0 as fresh")
  await attempt(client, "insert into keyed (name) values ('conflict') on conflict do nothing")
  await attempt(client, "insert into parted values (1, 'low'), (500, 'high') returning *")
  await attempt(client, 'update parted set id = id + 200 where id = $1 returning *', [1])
  await attempt(client, 'delete from parted returning id')
  await attempt(client, "with gone as (delete from keyless where name = 'several' returning *) select count(*)::int from gone")
}

async function large(client) {
  const big = '0123456789abcdef'.repeat(250_000)
  await attempt(client, "insert into keyed (name, big) values ('big', $1) returning length(big)", [big])
  const read = await client.query("update keyed set big = big || 'x' where name = 'big' returning big")
  tell(read.rows[0].big === big + 'x')
  await attempt(client, `insert into keyless values ('${big}', 1)`)
  await attempt(client, 'delete from keyless where length(name) > $1', [100])
  tell((await client.query("select repeat('x', 1000) as x from generate_series(1, 20000)")).rows.length)
  await attempt(client, "insert into keyless select 'wide', g from generate_series(1, 20000) g")
  tell((await client.query("delete from keyless where name = 'wide' returning n")).rows.length)
  const numbers = Array.from({ length: 30_000 }, (_, n) => n)
  tell((await client.query(`insert into keyless (n) values ${numbers.map((n) => `($${n + 1})`).join(',')}`, numbers)).rowCount)
}

async function talk(client) {
  client.on('notice', (notice) => tell('notice', notice.severity, notice.code, notice.message, notice.hint))
  await client.query("do $$ begin raise notice 'hello' using hint = 'h'; raise warning 'careful'; end $$")
  await client.query('drop table if exists nothing')
  await client.query('rollback')
  const heard = []
  client.on('notification', (message) => heard.push([message.channel, message.payload, message.processId === client.processID]))
  await client.query('listen news')
  await connected(async (other) => {
    await other.query("notify news, 'from another'")
    await other.query("begin; insert into keyless values ('notified', 1); select pg_notify('news', 'in a transaction'); commit")
  })
  await client.query("notify news, 'from myself'")
  for (let tries = 0; heard.length < 3 && tries < 100; tries++) await pause(100)
  tell(heard.sort())
}

async function cancel(client) {
  for (const statement of ['select pg_sleep(60)', 'update keyed set n = 1 where pg_sleep(60) is not null']) {
    const query = new Query(statement)
    const done = new Promise((resolve) => query.on('error', resolve).on('end', resolve))
    client.query(query)
    await pause(500)
    await connectedCancel(client)
    refused(await done)
    await attempt(client, 'insert into keyless values ($1)', ['after the cancel'])
  }
  await client.query("set statement_timeout = '200ms'")
  await attempt(client, 'update keyed set n = $1 where pg_sleep(60) is not null', [1])
  await client.query('reset statement_timeout')
}

// The driver's own cancel, which opens a connection for it.
function connectedCancel(client) {
  const other = new Client()
  return new Promise((resolve, reject) => {
    other.connection.on('connect', () => other.connection.cancel(client.processID, client.secretKey))
    other.connection.once('end', resolve)
    other.connection.once('error', reject)
    other.connection.connect(other.port, other.host)
  })
}

async function pooled() {
  const pool = new Pool({ max: 4 })
  const names = Array.from({ length: 40 }, (_, n) => `pooled ${n}`)
  await Promise.all(names.map((name, n) => pool.query('insert into keyed (name, n) values ($1, $2)', [name, n])))
  result(await pool.query("select count(*)::int, sum(n)::int from keyed where name like 'pooled%'"))
  await pool.end()
}

async function main() {
  await connected((client) => client.query(fs.readFileSync(path.join(__dirname, '../tables.sql'), 'utf8')))
  // Writes are captured once the new tables are known.
  await pause(1000 * Number(process.env.SETTLE))
  for (const section of [parameters, reads, typed, prepared, several, queued, copies, cursors, transactions, errors, generated, large, talk, cancel, pooled]) {
    tell('==', section.name)
    await connected(section)
  }
}

main().catch((error) => {
  console.log(error)
  process.exit(1)
})
