import { expect, test } from 'vitest'
import { Dialect } from '../dialect.ts'
import { migrations } from '../schema.ts'
import { forOneNode } from './one-node-cluster.ts'

test.for([
  [
    "CREATE TABLE t ON CLUSTER `prod` (n UInt8)\nENGINE = ReplicatedReplacingMergeTree('/a/{shard}', '{replica}', done)\nORDER BY n",
    'CREATE TABLE t (n UInt8)\nENGINE = ReplacingMergeTree(done)\nORDER BY n',
  ],
  [
    "CREATE TABLE t (n UInt8) ENGINE = ReplicatedMergeTree('/a', 'b') ORDER BY n",
    'CREATE TABLE t (n UInt8) ENGINE = MergeTree() ORDER BY n',
  ],
  ['DROP DATABASE `d` ON CLUSTER `prod` SYNC', 'DROP DATABASE `d` SYNC'],
  ["SELECT ' ON CLUSTER `prod`'", "SELECT ' ON CLUSTER `prod`'"],
])('%j runs here as %j', ([sql, expected]) => expect(forOneNode(sql!)).toBe(expected))

test('nothing of a cluster is left in the statements of the schema but its distributed tables', () => {
  const dialect = new Dialect({ engine: 'clickhouse', database: 'd', cluster: 'prod' })
  for (const statement of migrations.flatMap(({ statements }) => statements(dialect))) {
    expect(forOneNode(statement)).not.toMatch(/ON CLUSTER|Replicated/)
  }
})
