/** Which deleted files are to be let go of when they hold more unread bytes than they may. Pure. */

/** A deleted file that is held open. */
export interface Held {
  readonly pod: string
  /** Unread. */
  readonly bytes: number
}

export interface HeldLimits {
  readonly unlinkedBytes: number
  readonly unlinkedBytesPerPod: number
}

/**
 * The files to let go of, in this order: of the pod that holds most the oldest, again and again, until both limits hold.
 *
 * @param held of each pod from the oldest to the newest
 */
export function planRelief<T extends Held>(held: Iterable<T>, limits: HeldLimits): T[] {
  const pods = podsOf(held)
  let total = pods.reduce((sum, { bytes }) => sum + bytes, 0)
  const plan: T[] = []
  for (;;) {
    const noisiest = noisiestOf(pods)
    if (noisiest === undefined) return plan
    if (total <= limits.unlinkedBytes && noisiest.bytes <= limits.unlinkedBytesPerPod) return plan
    const oldest = noisiest.files.shift()!
    noisiest.bytes -= oldest.bytes
    total -= oldest.bytes
    plan.push(oldest)
  }
}

/** In which order files are saved when time or room may not suffice for all: small pods first, and of each the oldest first. */
export function planRescue<T extends Held>(held: Iterable<T>): T[] {
  return podsOf(held)
    .sort((a, b) => a.bytes - b.bytes)
    .flatMap(({ files }) => files)
}

interface Pod<T> {
  bytes: number
  readonly files: T[]
}

function podsOf<T extends Held>(held: Iterable<T>): Pod<T>[] {
  return [...Map.groupBy(held, ({ pod }) => pod).values()].map((files) => ({
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    files,
  }))
}

function noisiestOf<T>(pods: readonly Pod<T>[]): Pod<T> | undefined {
  let noisiest: Pod<T> | undefined
  for (const pod of pods)
    if (pod.files.length > 0 && (noisiest === undefined || pod.bytes > noisiest.bytes)) noisiest = pod
  return noisiest
}
