import { expect, test } from 'vitest'
import { explain } from './explain.ts'
import { parseQuery } from './parser.ts'
import { plan } from './plan.ts'

test.for([
  [
    '{a="b"} |= "x" | json | y > 5 |= "z"',
    {
      kind: 'log',
      selector: '{a="b"}',
      store: ['|= "x"', '|= "z"'],
      process: ['| json', '| y>5'],
      because: 'the store cannot do | json exactly',
    },
  ],
  ['{a="b"} | x="1"', { kind: 'log', store: ['| x="1"'], process: [] }],
  [
    'sum by (x) (rate({a="b"} | logfmt | z="1" [5m] offset 1m)) > 1',
    {
      kind: 'binary',
      op: '>',
      left: {
        kind: 'aggregate',
        of: { kind: 'samples', op: 'rate', range: '5m', offset: '1m', counted: 'process', parsed: ['x', 'z'] },
      },
      right: { kind: 'scalar', value: 1 },
    },
  ],
  [
    'sum(count_over_time({a="b"} | json [1m]))',
    { of: { counted: 'store', groupedInStoreBy: [], process: [], parsed: [] } },
  ],
] as const)('%s is explained', ([query, expected]) => expect(explain(plan(parseQuery(query)))).toMatchObject(expected))
