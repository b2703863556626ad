/** What processes cost, from /proc: all threads, in CPU seconds and bytes. Linux only, as the whole bench. */
import { readdirSync, readFileSync } from 'node:fs'

/**
 * CPU time of a process so far, all its living threads, seconds. From schedstat, which counts nanoseconds: the ticks in /proc/<pid>/stat are
 * sampled, and a process that wakes up with the clock is charged for time it did not use. Its children are not in it.
 */
export function cpuSeconds(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  return threads.reduce(
    (sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e9,
    0,
  )
}

/** Ticks of the clock in a second, as /proc has them on every Linux that matters. */
const ticks = 100

/** The same from ticks: coarse, but with the threads that have ended. For processes whose threads come and go. */
export function cpuSecondsOfAll(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticks
}

/** Most memory a process has had resident, bytes. */
export const peakRss = (pid: number): number => statusOf(pid, 'VmHWM')

/** Memory that a process has resident now, bytes. */
export const currentRss = (pid: number): number => statusOf(pid, 'VmRSS')

function statusOf(pid: number, name: string): number {
  const kib = new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) * 1024
}

/** The value below which a share `q` of the samples lies. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}
