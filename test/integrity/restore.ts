/** What befalls a node and a volume, by hand. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Pipeline, until } from '../harness/processes.ts'

/** The volume of an aggregator that has ended is lost, and another one filled from a backup. @param engine its process, which may take a moment longer */
export async function restoreVolume({ dataDir }: Pipeline, engine: number, archive: string): Promise<void> {
  await until(
    () => !existsSync(`/proc/${engine}`),
    20_000,
    () => 'the engine outlives its aggregator',
  )
  rmSync(dataDir, { recursive: true, maxRetries: 5 })
  mkdirSync(dataDir, { mode: 0o700 })
  execFileSync('tar', ['-xf', archive, '-C', dataDir])
}

/** Pods of a namespace are gone from the node, with their logs. */
export function removePods({ logs }: Pipeline, namespace: string): void {
  execFileSync('find', [join(logs, 'containers'), '-name', `*_${namespace}_*`, '-delete'])
  execFileSync('find', [join(logs, 'pods'), '-mindepth', '1', '-path', `*/${namespace}_*`, '-delete'])
}
