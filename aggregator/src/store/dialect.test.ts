import { expect, test } from 'vitest'
import { Dialect } from './dialect.ts'
import { expiredTable, logsTable, migrations } from './schema.ts'

const one = new Dialect({ engine: 'clickhouse', database: 'tributary' })
const cluster = new Dialect({ engine: 'clickhouse', database: 'tributary', cluster: 'prod' })
const definition = {
  name: 't',
  columns: 'n UInt64',
  engine: 'ReplacingMergeTree(n)',
  clauses: 'ORDER BY n',
  placement: 'sharded',
  deduplicated: true,
} as const

const durable = `fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1`
const windows = `non_replicated_deduplication_window = 10000`
const replicatedWindows = `${windows}, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000`

test('on one server a table is one table', () => {
  expect(one.createTable(definition)).toEqual([
    `CREATE TABLE IF NOT EXISTS t (
  n UInt64
)
ENGINE = ReplacingMergeTree(n)
ORDER BY n
SETTINGS ${windows}, ${durable}`,
  ])
})

test('on a cluster a sharded table is replicated on each shard, behind a distributed one of its name', () => {
  expect(cluster.createTable(definition)).toEqual([
    `CREATE TABLE IF NOT EXISTS t_local ON CLUSTER \`prod\` (
  n UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tributary/tributary/t/{shard}', '{replica}', n)
ORDER BY n
SETTINGS ${replicatedWindows}, ${durable}`,
    "CREATE TABLE IF NOT EXISTS t ON CLUSTER `prod` AS t_local ENGINE = Distributed('prod', 'tributary', 't_local', rand())",
  ])
})

test('a table that is the same everywhere has one path in Keeper, and replicas that no two nodes share', () => {
  const [create, ...more] = cluster.createTable({
    ...definition,
    engine: 'MergeTree',
    placement: 'everywhere',
    deduplicated: false,
  })
  expect(more).toEqual([])
  expect(create).toContain("ReplicatedMergeTree('/clickhouse/tributary/tributary/t', '{shard}-{replica}')")
  expect(create).toMatch(new RegExp(`SETTINGS ${durable}$`))
})

test.for([
  {
    where: 'one server',
    dialect: one,
    columns: ['ALTER TABLE logs ADD COLUMN n UInt8'],
    parts: 'ALTER TABLE logs REMOVE TTL',
  },
  {
    where: 'a cluster',
    dialect: cluster,
    columns: [
      'ALTER TABLE logs_local ON CLUSTER `prod` ADD COLUMN n UInt8',
      'ALTER TABLE logs ON CLUSTER `prod` ADD COLUMN n UInt8',
    ],
    parts: 'ALTER TABLE logs_local ON CLUSTER `prod` REMOVE TTL',
  },
])('on $where columns change wherever they are, parts where the rows are', ({ dialect, columns, parts }) => {
  expect(dialect.alterColumns(logsTable, 'ADD COLUMN n UInt8')).toEqual(columns)
  expect(dialect.alterParts(logsTable, 'REMOVE TTL')).toBe(parts)
})

test('a table that is everywhere is changed once', () => {
  expect(cluster.alterColumns(expiredTable, 'ADD COLUMN n UInt8')).toEqual([
    'ALTER TABLE expired ON CLUSTER `prod` ADD COLUMN n UInt8',
  ])
})

test('names of the configuration stay within their quotes', () => {
  const hostile = new Dialect({ engine: 'clickhouse', database: 'a`; DROP', cluster: "c`'\\" })
  expect(hostile.createDatabase()).toBe("CREATE DATABASE IF NOT EXISTS `a\\`; DROP` ON CLUSTER `c\\`'\\\\`")
  expect(hostile.dropDatabase()).toBe("DROP DATABASE IF EXISTS `a\\`; DROP` ON CLUSTER `c\\`'\\\\` SYNC")
  expect(hostile.system('parts')).toBe("cluster('c`\\'\\\\', system.parts)")
})

test('every statement of the schema can be repeated, and on a cluster goes to all of it', () => {
  for (const statement of migrations.flatMap(({ statements }) => statements(cluster))) {
    expect(statement).toMatch(/^(CREATE TABLE IF NOT EXISTS|ALTER TABLE) \w+ ON CLUSTER `prod` /)
  }
})

test('rows of an insert go to one shard of a cluster, at once', () => {
  expect(cluster.insertSettings(2)).toEqual({ insert_distributed_sync: 1, insert_shard_id: '2' })
  expect(one.insertSettings(2)).toEqual({})
})
