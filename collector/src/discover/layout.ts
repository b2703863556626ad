/**
 * What file names and paths tell, and nothing else: whose log it is and which generation of it. Pure.
 *
 * The kubelet writes `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<restart>.log`, renames it to `<restart>.log.<time>` when it is
 * full, compresses older ones to `….gz`, and links to the first from `/var/log/containers/<pod>_<namespace>_<container>-<id>.log`.
 * docker keeps the files elsewhere and numbers old ones: `<id>-json.log.1`. Logrotate does either.
 *
 * @see https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/logs/container_log_manager.go
 */

export interface PodIdentity {
  readonly namespace: string
  readonly pod: string
  readonly uid: string
  readonly container: string
}

/** The identity in a path under /var/log/pods; undefined for any other path. */
export function podFromPath(path: string): PodIdentity | undefined {
  const match = /\/([^/_]+)_([^/_]+)_([^/_]+)\/([^/]+)\/\d+\.log$/.exec(path)
  if (!match) return undefined
  return { namespace: match[1]!, pod: match[2]!, uid: match[3]!, container: match[4]! }
}

/** The container id at the end of a link's name in /var/log/containers. */
export function containerIdFromLink(name: string): string | undefined {
  return /-([0-9a-f]{12,64})\.log$/.exec(name)?.[1]
}

/** One generation of a log, by its name. Keys sort from the oldest to the newest. */
export interface GenerationName {
  /** How often the container had restarted: the number in `<restart>.log`; 0 outside the kubelet's layout. */
  readonly restart: number
  /** What the rotation put behind the name, without `.gz`; '' for the file that is written to. */
  readonly rotation: string
  readonly gzip: boolean
  /** The name will never stand for another file: the kubelet's time stamps do not repeat, numbers do. */
  readonly lasting: boolean
}

/** Which files of a directory are generations of one log. `base` is undefined in the kubelet's layout, where all `<restart>.log*` are. */
export function parseGeneration(name: string, base: string | undefined): GenerationName | undefined {
  const match =
    base === undefined
      ? /^(\d+)\.log(.*)$/.exec(name)
      : name.startsWith(base)
        ? [name, '0', name.slice(base.length)]
        : null
  if (!match) return undefined
  const suffix = match[2]!
  const gzip = suffix.endsWith('.gz')
  const rotation = gzip ? suffix.slice(0, -3) : suffix
  if (rotation !== '' && !/^[.-]\d[\d.:TZ+_-]*$/.test(rotation)) return undefined
  if (gzip && rotation === '') return undefined
  return { restart: Number(match[1]), rotation, gzip, lasting: rotation.length >= 9 }
}

/** Orders generations from the oldest to the newest. */
export function compareGenerations(a: GenerationName, b: GenerationName): number {
  if (a.restart !== b.restart) return a.restart - b.restart
  if (a.rotation === b.rotation) return 0
  // The file without a suffix is the one being written.
  if (a.rotation === '') return 1
  if (b.rotation === '') return -1
  // A time stamp is newer the larger it is, a number older; mixed, the numbered one is of the present.
  if (a.lasting && b.lasting) return a.rotation < b.rotation ? -1 : 1
  if (a.lasting !== b.lasting) return a.lasting ? -1 : 1
  return Number(b.rotation.slice(1)) - Number(a.rotation.slice(1))
}
