/**
 * Log files that lose their end and keep their beginning, as a power cut or `truncate -s` leave them: what was read stays read once, what is
 * written from there on is read, whatever happens to file and collector meanwhile.
 */
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { type Disk, nodeDisk } from '@tributary/protocol/disk.ts'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink } from '../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'

let root: string
let log: string
let sink: Sink
let collector: RunningCollector

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'tributary-cut-back-'))
  const directory = join(root, 'pods', 'shop_cart_uid-cart', 'main')
  mkdirSync(directory, { recursive: true })
  mkdirSync(join(root, 'containers'))
  log = join(directory, '0.log')
  symlinkSync(log, join(root, 'containers', `cart_shop_main-${'0'.padStart(64, 'a')}.log`))
  sink = await Sink.listen({ keep: true })
})

afterEach(async () => {
  await collector.close()
  await sink[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

async function start(logs: object = {}, overrides: object = {}, disk: Disk = nodeDisk): Promise<void> {
  const config = collectorConfig.parse({
    node: 'n1',
    stateDir: join(root, 'state'),
    aggregator: { address: sink.address },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '5s' },
    checkpoints: { interval: '20ms' },
    ...overrides,
    logs: { path: join(root, 'containers'), scanInterval: '50ms', flushInterval: '20ms', ...logs },
  })
  collector = await startCollector(config, { log: pino({ level: 'silent' }), disk })
}

async function restart(between: () => void): Promise<void> {
  await collector.close()
  between()
  await start()
}

async function until(what: () => boolean, message = () => 'never came true'): Promise<void> {
  for (const end = Date.now() + 10_000; !what(); await sleep(5)) if (Date.now() > end) throw new Error(message())
}

/** What the collector has seen the file to have, as its checkpoints say. */
const seenSize = () => Number(/"seen":(\d+)/.exec(readFileSync(join(root, 'state', 'checkpoints'), 'utf8'))?.[1])

/** Exactly these lines, whatever their order among the sources, and none that comes late. */
async function expectLines(lines: string[]): Promise<void> {
  await until(
    () => sink.lines().length >= lines.length,
    () => `${sink.lines().join(',')} instead of ${lines.join(',')}`,
  )
  await sleep(200)
  expect(sink.lines().sort()).toEqual([...lines].sort())
}

const wasTold = (times = 1) => until(() => collector.metrics.inputProblems.total >= times)

/** A clock that can't tell new lines from old, or one that goes wrong. */
let clock: () => string
beforeEach(() => {
  let last = 0
  clock = () => {
    last = Math.max(last + 1, Date.now())
    return new Date(last).toISOString().replace('Z', '000000Z')
  }
})

const cri = (line: string) => `${clock()} stdout F ${line}\n`
const docker = (line: string) => `${JSON.stringify({ log: `${line}\n`, stream: 'stdout', time: clock() })}\n`
let encode = cri
beforeEach(() => {
  encode = cri
})
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `line-${from + i}`)
const write = (from: number, to: number) =>
  appendFileSync(
    log,
    numbered(from, to)
      .map((line) => encode(line))
      .join(''),
  )
const lineEnd = (n: number) => {
  let at = 0
  for (let i = 0; i < n; i++) at = readFileSync(log).indexOf(10, at) + 1
  return at
}
/** Time passes between what was read and what is written to a file that was cut. */
const aWhile = () => sleep(10)

for (const [format, encoded] of Object.entries({ cri, docker })) {
  test.for(['behind a line', 'within a line'])(
    `what is written to a ${format} file that was cut back %s is read once it was seen, and nothing twice`,
    async (where) => {
      encode = encoded
      write(0, 20)
      await start()
      await expectLines(numbered(0, 20))
      truncateSync(log, where === 'behind a line' ? lineEnd(2) : lineEnd(1) + 40)
      await wasTold()
      write(20, 25)
      await expectLines(numbered(0, 25))
      write(25, 30)
      await expectLines(numbered(0, 30))
    },
  )

  test.for([
    ['shorter than it was', 3],
    ['longer than it was', 40],
  ] as const)(
    `a ${format} file that was cut back within a line and is %s when it is looked at is read from the first new line`,
    async ([, more]) => {
      encode = encoded
      write(0, 20)
      await start()
      await expectLines(numbered(0, 20))
      await aWhile()
      truncateSync(log, lineEnd(4) + 40)
      write(20, 20 + more)
      await expectLines(numbered(0, 20 + more))
      expect(collector.metrics.inputProblems.total).toBe(1)
      expect([...sink.sources.values()].flatMap(({ outcomes }) => outcomes)).toEqual([])
    },
  )
}

test.for([
  ['shorter than it was', 3],
  ['longer than it was', 40],
] as const)('so is a file whose lines have times of long ago, and is %s', async ([, more]) => {
  let n = 0
  clock = () => new Date(Date.UTC(2020, 1, 1) + n++).toISOString()
  write(0, 20)
  await start()
  await expectLines(numbered(0, 20))
  truncateSync(log, lineEnd(4) + 30)
  write(20, 20 + more)
  await expectLines(numbered(0, 20 + more))
})

test('a restart after the cut goes on where the new lines begin, in as many lives as there are', async () => {
  write(0, 20)
  await start()
  await expectLines(numbered(0, 20))
  truncateSync(log, 100)
  await wasTold()
  await restart(() => write(20, 25))
  await expectLines(numbered(0, 25))
  await restart(() => write(25, 60))
  await expectLines(numbered(0, 60))
  await restart(() => undefined)
  await expectLines(numbered(0, 60))
  expect(sink.sources.size).toBe(2)
  expect(collector.metrics.inputProblems.total).toBe(0)
})

test.for([
  ['shorter than it was', 3],
  ['longer than it was', 40],
] as const)(
  'a file that was cut back and is %s when the collector comes back is read from the first new line',
  async ([, more]) => {
    write(0, 20)
    await start()
    await expectLines(numbered(0, 20))
    await aWhile()
    await restart(() => {
      truncateSync(log, lineEnd(3) + 40)
      write(20, 20 + more)
    })
    await expectLines(numbered(0, 20 + more))
    expect(collector.metrics.inputProblems.total).toBe(1)
  },
)

test('a file is cut back again and again, behind the first cut and before it', async () => {
  write(0, 20)
  await start()
  await expectLines(numbered(0, 20))
  truncateSync(log, lineEnd(10))
  await wasTold(1)
  write(20, 30)
  await expectLines(numbered(0, 30))
  truncateSync(log, lineEnd(15) + 7)
  await wasTold(2)
  write(30, 40)
  await expectLines(numbered(0, 40))
  truncateSync(log, lineEnd(3) + 7)
  await wasTold(3)
  write(40, 50)
  await restart(() => undefined)
  await expectLines(numbered(0, 50))
  // It begins anew.
  writeFileSync(log, '')
  write(50, 55)
  await expectLines(numbered(0, 55))
})

test('of what was not read before the cut, what is left is read, and what is gone is lost by byte range', async () => {
  write(0, 20)
  await start()
  await expectLines(numbered(0, 20))
  await collector.close()
  // What comes now waits for more.
  await start({ flushInterval: '2s' })
  write(20, 30)
  const { size } = statSync(log)
  await until(() => sink.lines().length === 20 && seenSize() === size)
  const left = lineEnd(25)
  truncateSync(log, left)
  await wasTold()
  write(40, 45)
  await expectLines([...numbered(0, 25), ...numbered(40, 45)])
  expect([...sink.sources.values()].flatMap(({ outcomes }) => outcomes)).toEqual([
    { range: [left, size], outcome: 'lost:truncated' },
  ])
})

test.for(['while the collector runs', 'while it does not'])(
  'a file that was cut back is the same source after it was renamed and compressed %s',
  async (when) => {
    const rotate = () => {
      renameSync(log, `${log}.20261123-000000`)
      writeFileSync(`${log}.20261123-000000.gz`, gzipSync(readFileSync(`${log}.20261123-000000`)))
      unlinkSync(`${log}.20261123-000000`)
      write(30, 35)
    }
    write(0, 20)
    await start()
    await expectLines(numbered(0, 20))
    truncateSync(log, lineEnd(2) + 9)
    await wasTold()
    write(20, 25)
    await expectLines(numbered(0, 25))
    if (when === 'while the collector runs') {
      write(25, 30)
      rotate()
    } else {
      await restart(() => {
        write(25, 30)
        rotate()
      })
    }
    await expectLines(numbered(0, 35))
    await restart(() => undefined)
    await expectLines(numbered(0, 35))
  },
)

test('a shorter copy that takes the place of a file is one that was cut back', async () => {
  write(0, 20)
  await start()
  await expectLines(numbered(0, 20))
  const kept = readFileSync(log).subarray(0, lineEnd(2))
  writeFileSync(`${log}.new`, kept)
  renameSync(`${log}.new`, log)
  await wasTold()
  write(20, 25)
  await expectLines(numbered(0, 25))
})

test('what is left of a deleted file that was cut back is spooled and sent by the next process', async () => {
  write(0, 20)
  await start()
  await expectLines(numbered(0, 20))
  truncateSync(log, lineEnd(2))
  await wasTold()
  write(20, 25)
  await expectLines(numbered(0, 25))
  await restart(() => undefined)
  await collector.close()
  await start({ flushInterval: '60s' })
  write(25, 30)
  await sleep(300)
  unlinkSync(log)
  await sleep(300)
  await collector.close()
  await start()
  await expectLines(numbered(0, 30))
})

test('nothing is read behind the cut before the checkpoints tell where that is', async () => {
  write(0, 20)
  let full = false
  const rename: Disk['rename'] = async (from, to) => {
    if (full && to.endsWith('checkpoints')) throw new Error('no space left on device')
    return nodeDisk.rename(from, to)
  }
  await start({}, {}, Object.assign(Object.create(nodeDisk), { rename }))
  await expectLines(numbered(0, 20))
  full = true
  truncateSync(log, 100)
  await wasTold()
  write(20, 25)
  await sleep(300)
  expect(sink.lines()).toEqual(numbered(0, 20))
  full = false
  await expectLines(numbered(0, 25))
  await restart(() => write(25, 30))
  await expectLines(numbered(0, 30))
})
