/** Several aggregators with one store, behind a real DNS server, under all that may become of processes, networks and clocks. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { dnsmasq } from '../harness/dnsmasq.ts'
import { namespacesMissing } from '../harness/namespaces.ts'
import { randomFrom } from '../harness/random.ts'
import { type Member, SeveralAggregators } from '../harness/several-aggregators.ts'
import { chooseSeed, conclude, progress, Writer, wholeVerdict } from './run.ts'

const noNamespaces = namespacesMissing()
if (noNamespaces !== undefined) {
  if (process.env['CI'] === 'true') throw new Error(`needed in CI: ${noNamespaces}`)
  console.log(`skipped: ${noNamespaces}`)
}

/** Times each kind of fault happens; more with `ROUNDS=n`. */
const rounds = Number(process.env['ROUNDS'] ?? 1)
/** These take minutes: `npm run test:several`. */
const short = process.env['LONG'] === undefined
/** For one that is told to stop: longer than its `shutdown.drain`. */
const stopDeadline = 90_000
const load = { containers: 8, rotateBytes: 64 * 1024, partial: 2, pieceBytes: 120 }

describe.skipIf(dnsmasq === undefined || noNamespaces !== undefined)(
  'several aggregators',
  { timeout: 600_000 },
  () => {
    test('kills, partitions, half-open, slow and cut connections, and clocks that jump lose and double nothing', async () => {
      const seed = chooseSeed()
      const random = randomFrom(seed)
      await using cluster = await SeveralAggregators.start({ count: 3 }, 3)
      await using writer = new Writer(cluster, { ...load, rate: 2000, duration: 600_000, seed, namespace: 'several' })
      const events = {
        kills: 0,
        partitions: 0,
        stalls: 0,
        'slow lines': 0,
        cuts: 0,
        jumps: 0,
        'kills of the collector': 0,
      }
      const faults: Record<keyof typeof events, (member: Member) => Promise<void>> = {
        async kills({ process }) {
          await process.kill()
          await sleep(random(3000))
          process.start()
        },
        // Also for longer than it takes the others to take over.
        async partitions({ namespace }) {
          namespace.cut(true)
          await sleep(random(6000))
          namespace.cut(false)
        },
        async stalls({ proxy }) {
          proxy.stall()
          await sleep(random(4000))
          proxy.resume()
        },
        async 'slow lines'({ proxy }) {
          proxy.slow(50 + random(200))
          await sleep(random(2000))
          proxy.slow(0)
        },
        async cuts({ proxy }) {
          if (random(2) === 0) proxy.cut()
          else proxy.reset()
        },
        async jumps(member) {
          member.jump((random(2) === 0 ? -1 : 1) * random(3_600_000))
        },
        async 'kills of the collector'() {
          await cluster.collector.kill()
          cluster.collector.start()
        },
      }
      const tell = progress(seed)
      for (let round = 0; round < rounds; round++) {
        const kinds = Object.keys(faults) as (keyof typeof events)[]
        while (kinds.length > 0) {
          const [kind] = kinds.splice(random(kinds.length), 1) as [keyof typeof events]
          const number = random(3)
          tell(`${kind}, aggregator ${number}`)
          await faults[kind](cluster.members[number]!)
          events[kind]++
          await sleep(200 + random(600))
        }
      }
      const what = { name: 'three aggregators', seed, events }
      const { verdicts, audit } = await conclude(cluster, [await writer.finish()], what, 300_000)
      for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
      expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
    })

    test.skipIf(short)('from one to five to one, and a rolling restart of all, lose and double nothing', async () => {
      const seed = chooseSeed()
      const tell = progress(seed)
      // More processes than most machines have cores: each may be slow, and is not gone.
      const patient = { takeover: { after: '15s' } }
      await using cluster = await SeveralAggregators.start({ count: 5, aggregator: patient }, 1)
      const { members } = cluster
      await using writer = new Writer(cluster, { ...load, rate: 1000, duration: 600_000, seed, namespace: 'scaled' })
      const inUse = (count: number) =>
        expect.poll(() => cluster.metric('collector_aggregators{state="in_use"}'), { timeout: 120_000 }).toBe(count)
      await inUse(1)
      for (const member of members.slice(1)) member.process.start()
      for (const member of members) await member.ready()
      cluster.list(members)
      await inUse(5)
      tell('five are in use')
      // A rolling restart: each is told to stop, drains, and comes back with its disk.
      const codes: (number | undefined)[] = []
      for (const member of members) {
        codes.push(await member.process.stop('SIGTERM', stopDeadline))
        member.process.start()
        await member.ready()
        await inUse(5)
        tell(`aggregator ${members.indexOf(member)} was restarted, it had ended with ${codes.at(-1)}`)
      }
      // Four leave for good, with their disks: what they had acknowledged is stored by then.
      cluster.asked = members[4]!
      for (const member of members.slice(0, 4)) {
        cluster.list(members.slice(members.indexOf(member) + 1))
        codes.push(await member.process.stop('SIGTERM', stopDeadline))
        await member.destroy()
        tell(`aggregator ${members.indexOf(member)} left, it had ended with ${codes.at(-1)}`)
      }
      await inUse(1)
      await sleep(1000)
      const truth = await writer.finish()
      const { verdicts, audit } = await conclude(cluster, [truth], { name: 'one to five to one', seed }, 300_000)
      expect(codes).toEqual(codes.map(() => 0))
      for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
      expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
    })

    test.skipIf(short)(
      'one that dies for good with its disk loses nothing where acknowledgements wait for the store',
      async () => {
        const seed = chooseSeed()
        const tell = progress(seed)
        await using cluster = await SeveralAggregators.start({ count: 3, aggregator: { ack: 'stored' } }, 3)
        await using writer = new Writer(cluster, { ...load, rate: 2000, duration: 600_000, seed, namespace: 'stored' })
        const [first, second, third] = cluster.members
        cluster.asked = third!
        for (const member of [first!, second!]) {
          await sleep(3000)
          await member.destroy()
          cluster.list(cluster.members.slice(cluster.members.indexOf(member) + 1))
          tell(`aggregator ${cluster.members.indexOf(member)} is destroyed`)
        }
        await sleep(3000)
        const truth = await writer.finish()
        const { verdicts, audit } = await conclude(
          cluster,
          [truth],
          { name: 'two of three are destroyed', seed },
          120_000,
        )
        for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
        expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
      },
    )
  },
)
