/** Who sends to the input: the pod at a connection's address, as far as it is known, and how far what it sent is counted. */
import { relaySource, type StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import type { PodDirectory, PodFacts } from '../metadata/pod-facts.ts'

/** A part of what one pod sends through one aggregator. */
export interface Place {
  readonly source: SourceId
  readonly range: ByteRange
}

export interface Peer {
  readonly stream: StreamMetadata
  /** Where the next `bytes` that go to an aggregator belong. */
  place(aggregator: number, bytes: number): Place
  /** What was last placed is on its way: a place that is given and not taken would be a gap for ever. */
  book(aggregator: number, place: Place): void
}

/** Pods remembered at most: more than a node runs. One that is forgotten begins a new source when it sends again. */
const maxPeers = 1024

export class Peers {
  readonly #directory: Pick<PodDirectory, 'findByAddress'> | undefined
  readonly #base: Readonly<Record<string, string>>
  /** By the pod's uid, the least recently added first; '' for those that are not known. */
  readonly #peers = new Map<string, KnownPeer>()

  /** @param directory the node's pods; undefined when nobody is asked for them */
  constructor(
    { cluster, node }: { readonly cluster: string; readonly node: string },
    directory: Pick<PodDirectory, 'findByAddress'> | undefined,
  ) {
    this.#base = { cluster, node }
    this.#directory = directory
  }

  /** Who is at an address now. A pod may become known after it began to send. */
  at(address: string): Peer {
    const facts = this.#directory?.findByAddress(plainAddress(address))
    const key = facts?.uid ?? ''
    const known = this.#peers.get(key)
    if (known !== undefined) {
      known.update(facts)
      return known
    }
    if (this.#peers.size >= maxPeers) this.#peers.delete(this.#peers.keys().next().value!)
    const peer = new KnownPeer(this.#base, facts)
    this.#peers.set(key, peer)
    return peer
  }
}

class KnownPeer implements Peer {
  readonly #base: Readonly<Record<string, string>>
  readonly #sources: { readonly source: SourceId; end: number }[] = []
  #facts: PodFacts | undefined
  stream: StreamMetadata

  constructor(base: Readonly<Record<string, string>>, facts: PodFacts | undefined) {
    this.#base = base
    this.#facts = facts
    this.stream = streamOf(base, facts)
  }

  /** Labels of a pod may change while it runs. */
  update(facts: PodFacts | undefined): void {
    if (facts === this.#facts) return
    this.#facts = facts
    this.stream = streamOf(this.#base, facts)
  }

  place(aggregator: number, bytes: number): Place {
    const progress = (this.#sources[aggregator] ??= { source: relaySource(), end: 0 })
    return { source: progress.source, range: [progress.end, progress.end + bytes] }
  }

  book(aggregator: number, { range }: Place): void {
    this.#sources[aggregator]!.end = range[1]
  }
}

/** IPv4 as it stands in a pod's status, also on a socket that speaks both. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address
}

function streamOf(base: Readonly<Record<string, string>>, facts: PodFacts | undefined): StreamMetadata {
  if (facts === undefined) return { labels: base, metadata: {} }
  const { namespace, name, uid, workload, containers } = facts
  const [container, ...others] = Object.keys(containers)
  return {
    labels: {
      ...base,
      namespace,
      pod: name,
      // All containers of a pod have its address: only a single one is known to be the sender.
      ...(container !== undefined && others.length === 0 ? { container } : {}),
    },
    metadata: {
      pod_uid: uid,
      ...(workload === undefined ? {} : { workload_kind: workload.kind, workload_name: workload.name }),
    },
  }
}
