/** Where a runtime and the kubelet keep a container's log, and how old generations are named. */
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { containerNumber } from './content.ts'
import type { RuntimeFormat } from './runtime-line.ts'

export interface Place {
  readonly pod: string
  readonly uid: string
  readonly name: string
  readonly namespace: string
  readonly restart: number
  /** The file that is written to. Old generations lie beside it. */
  readonly active: string
  /** Old generations are numbered, the newest 1, as docker and logrotate do; otherwise they carry a time, as the kubelet's. */
  readonly numbered: boolean
}

const apps = ['api', 'web', 'worker', 'db', 'cache'] as const

/**
 * Makes the directories and links of one container:
 * `pods/<ns>_<pod>_<uid>/<container>/<restart>.log`, linked to from `containers/<pod>_<ns>_<container>-<id>.log`; docker keeps the file itself
 * in `docker/<id>/<id>-json.log`. Where a container of an earlier run is found, this is its next restart, and of earlier ones
 * only the last is kept, as the kubelet does.
 */
export function makePlace(
  directory: string,
  container: number,
  { seed, namespace, format }: { seed: number; namespace: string; format: RuntimeFormat },
): Place {
  // A link's target is relative to where the link is.
  const out = resolve(directory)
  const name = apps[container % apps.length]!
  const pod = `${name}-${containerNumber(container)}`
  const uid = uuidOf(`${seed}:${namespace}:${container}`)
  const own = join(out, 'pods', `${namespace}_${pod}_${uid}`, name)
  mkdirSync(own, { recursive: true })
  mkdirSync(join(out, 'containers'), { recursive: true })
  const restart = nextRestart(own)
  const idOf = (n: number) => createHash('sha256').update(`${uid}:${n}`).digest('hex')
  const link = (n: number) => join(out, 'containers', `${pod}_${namespace}_${name}-${idOf(n)}.log`)
  for (let n = 0; n < restart - 1; n++) rmSync(link(n), { force: true })
  const log = join(own, `${restart}.log`)
  let active = log
  if (format === 'docker') {
    active = join(out, 'docker', idOf(restart), `${idOf(restart)}-json.log`)
    mkdirSync(join(active, '..'), { recursive: true })
  }
  // The container runs before there is a link to its log.
  closeSync(openSync(active, 'a'))
  if (active !== log) symlinkSync(active, log)
  symlinkSync(log, link(restart))
  return { pod, uid, name, namespace, restart, active, numbered: format === 'docker' }
}

function nextRestart(directory: string): number {
  const names = readdirSync(directory)
  const restarts = names.map((name) => Number.parseInt(name, 10)).filter((n) => n >= 0)
  const last = Math.max(-1, ...restarts)
  for (const name of names) if (Number.parseInt(name, 10) < last) rmSync(join(directory, name))
  return last + 1
}

function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  )
}

/** `20261123-153429`, as in the kubelet's names. */
export function timeSuffix(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-')
}
