/**
 * `npm run test:soak`: the kill runs for longer, at full speed and with every kind of rotation, one round after the
 * other until the time is over. Prints the figures of each; exit code 1 when a line is missing, doubled, damaged or out of order.
 */
import { rotationKinds } from 'tributary/generate/rotation.ts'
import { randomFrom } from '../harness/random.ts'
import { positive, script, seed } from '../harness/script.ts'
import { killAndCompare } from './kills.ts'
import { chooseSeed, isSound, type Load } from './run.ts'

const options = script('test:soak', 'kill collectors and aggregators, and look for what is missing or doubled')
  .option('--minutes <n>', 'for how long; the round that is on is finished', positive, 10)
  .option('--seed <n>', 'of loads and kills; default: another one each time', seed)
  .parse()
  .opts<{ minutes: number; seed?: number }>()
const end = performance.now() + options.minutes * 60_000
const random = randomFrom(options.seed ?? chooseSeed())

/** 50 containers at full speed, so that each writes for about 200 ms between two rotations; now and then docker's files beside them. */
function loadsOf(seed: number): Load[] {
  const pick = randomFrom(seed)
  const rotation = rotationKinds[pick(rotationKinds.length)]!
  const duration = 5000 + pick(15_000)
  const common = { duration, partial: pick(4), pieceBytes: 100 + pick(400), stderr: pick(50) }
  // A copied and truncated log needs a moment of quiet: what is written between copy and truncation nobody can save.
  const full: Load = {
    ...common,
    namespace: rotation,
    rotation,
    containers: 50,
    rate: 0,
    rotateBytes: 128 * 1024,
    gap: rotation === 'copytruncate' ? 100 : 10,
  }
  const docker: Load = {
    ...common,
    namespace: 'docker',
    rotation: 'rename',
    format: 'docker',
    containers: 5,
    rate: 2000,
    rotateBytes: 256 * 1024,
  }
  return pick(3) === 0 ? [full, docker] : [full]
}

let [rounds, lines, kills, wrong] = [0, 0, 0, 0]
do {
  const seed = random(2 ** 31)
  const loads = loadsOf(seed)
  const wanted = 20 + randomFrom(seed)(20)
  const { verdicts, audit, events } = await killAndCompare({
    name: `round ${++rounds} (${loads.map(({ namespace }) => namespace).join(', ')})`,
    seed,
    loads,
    kills: wanted,
    everyMs: 300 + randomFrom(seed ^ 1)(1200),
    settleMs: 600_000,
  })
  lines += verdicts.reduce((sum, { expected }) => sum + expected, 0)
  kills += events
  if (!isSound(verdicts, audit)) {
    wrong++
    console.log(JSON.stringify(verdicts, undefined, 2))
  }
} while (performance.now() < end)
console.log(`${rounds} rounds, ${lines} lines, ${kills} kills, ${wrong} rounds in which something was wrong`)
process.exitCode = wrong > 0 ? 1 : 0
