/** Who sends to the input: the pod at a connection's address, as far as it is known, and how far what it sent is counted. */
import { relaySource, type StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import type { Describe } from '../metadata/describe.ts'
import type { PodDirectory, PodFacts } from '../metadata/pod-facts.ts'

/** A part of what one pod sends through one aggregator. */
export interface Place {
  readonly source: SourceId
  readonly range: ByteRange
  /** The chunk id of what lies there. */
  readonly id: string
}

export interface Peer {
  readonly stream: StreamMetadata
  /** Where the next `bytes` that go to an aggregator belong; `aggregator` is any name of it. */
  place(aggregator: string, bytes: number): Place
  /** What was last placed is on its way: a place that is given and not taken would be a gap for ever. */
  book(aggregator: string, place: Place): void
}

/** Pods remembered at most: more than a node runs. One that is forgotten begins a new source when it sends again. */
const maxPeers = 1024
/** Aggregators for which a pod's source is remembered at most: they come and go. */
const maxSources = 64

export interface PeersOptions {
  readonly cluster: string
  readonly node: string
  /** What is known of the records of a pod's container. */
  readonly describe: Describe
  /** The node's pods; undefined when nobody is asked for them. */
  readonly directory: Pick<PodDirectory, 'findByAddress'> | undefined
}

export class Peers {
  readonly #options: PeersOptions
  /** By the pod's uid, the least recently added first; '' for those that are not known. */
  readonly #peers = new Map<string, KnownPeer>()

  constructor(options: PeersOptions) {
    this.#options = options
  }

  /** Who is at an address now. A pod may become known after it began to send. */
  at(address: string): Peer {
    const facts = this.#options.directory?.findByAddress(plainAddress(address))
    const key = facts?.uid ?? ''
    const known = this.#peers.get(key)
    if (known !== undefined) {
      if (known.facts !== facts) known.update(facts, this.#streamOf(facts))
      return known
    }
    if (this.#peers.size >= maxPeers) this.#peers.delete(this.#peers.keys().next().value!)
    const peer = new KnownPeer(facts, this.#streamOf(facts))
    this.#peers.set(key, peer)
    return peer
  }

  #streamOf(facts: PodFacts | undefined): StreamMetadata {
    const { cluster, node, describe } = this.#options
    if (facts === undefined) return { labels: { cluster, node }, metadata: {} }
    const { namespace, name: pod, uid, containers } = facts
    // All containers of a pod have its address: only a single one is known to be the sender.
    const [single, ...others] = Object.keys(containers)
    const container = single !== undefined && others.length === 0 ? single : ''
    const { labels, metadata } = describe({ namespace, pod, uid, container }, undefined, facts)
    return { labels: Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== '')), metadata }
  }
}

class KnownPeer implements Peer {
  /** By aggregator, the least recently begun first. */
  readonly #sources = new Map<string, OpenSource>()
  facts: PodFacts | undefined
  stream: StreamMetadata

  constructor(facts: PodFacts | undefined, stream: StreamMetadata) {
    this.facts = facts
    this.stream = stream
  }

  /** Labels of a pod may change while it runs. */
  update(facts: PodFacts | undefined, stream: StreamMetadata): void {
    this.facts = facts
    this.stream = stream
  }

  place(aggregator: string, bytes: number): Place {
    const { source, name, end } = this.#sources.get(aggregator) ?? this.#begin(aggregator)
    return { source, range: [end, end + bytes], id: `${name}:${end}` }
  }

  #begin(aggregator: string): OpenSource {
    if (this.#sources.size >= maxSources) this.#sources.delete(this.#sources.keys().next().value!)
    const begun = newSource()
    this.#sources.set(aggregator, begun)
    return begun
  }

  book(aggregator: string, { range }: Place): void {
    this.#sources.get(aggregator)!.end = range[1]
  }
}

/** IPv4 as it stands in a pod's status, also on a socket that speaks both. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address
}

interface OpenSource {
  readonly source: SourceId
  readonly name: string
  end: number
}

function newSource(): OpenSource {
  const source = relaySource()
  return { source, name: source.toString('base64'), end: 0 }
}
