/** The pods that are known, by all they are looked up by. Deleted ones are kept for a while: their logs outlive them. Knows no clock and no network. */
import type { PodFacts } from './pod-facts.ts'
import type { PodObject } from './pod-object.ts'

/** A pod as it is kept, and saved. */
export interface KnownPod extends PodObject {
  /** Ms since 1970; undefined while it is there. */
  readonly deletedAt: number | undefined
}

export interface KnownPodsOptions {
  /** How long a deleted pod is kept, ms. */
  readonly keepDeleted: number
  /** A deleted pod that somebody still needs is kept for longer. */
  isNeeded(uid: string): boolean
  /** With what its logs are found by: its uid, or a static pod's hash. */
  onChange(uid: string): void
}

/** Of deleted pods; beyond it the one that was deleted first is forgotten, needed or not. */
const maxDeleted = 1000

export class KnownPods {
  readonly #options: KnownPodsOptions
  readonly #pods = new Map<string, KnownPod>()
  readonly #byHash = new Map<string, string>()
  readonly #byAddress = new Map<string, string>()
  readonly #namespaces = new Map<string, Readonly<Record<string, string>>>()
  /** Uids of a list that is under way. */
  #listed: Set<string> | undefined
  /** Grows with every change, so that whoever saves them knows that there is something to save. */
  changes = 0

  constructor(options: KnownPodsOptions, saved: Iterable<KnownPod> = []) {
    this.#options = options
    for (const pod of saved) this.#store(pod)
  }

  get present(): number {
    return this.#pods.size - this.deleted
  }

  get deleted(): number {
    let count = 0
    for (const { deletedAt } of this.#pods.values()) if (deletedAt !== undefined) count++
    return count
  }

  all(): IterableIterator<KnownPod> {
    return this.#pods.values()
  }

  find(uid: string): PodFacts | undefined {
    return (this.#pods.get(uid) ?? this.#pods.get(this.#byHash.get(uid) ?? ''))?.facts
  }

  findByAddress(address: string): PodFacts | undefined {
    return this.#pods.get(this.#byAddress.get(address) ?? '')?.facts
  }

  listing(): void {
    this.#listed = new Set()
  }

  /** It is there, as described; `deletedAt` is taken back. */
  seen(pod: PodObject): void {
    const { uid, namespace } = pod.facts
    this.#listed?.add(uid)
    const before = this.#pods.get(uid)
    const namespaceLabels = this.#namespaces.get(namespace) ?? before?.facts.namespaceLabels ?? {}
    this.#replace(before, { ...pod, facts: { ...pod.facts, namespaceLabels }, deletedAt: undefined })
  }

  gone(pod: PodObject, now: number): void {
    // Its last state tells the most: the digest of its image, that it ended.
    this.seen(pod)
    this.#markDeleted(pod.facts.uid, now)
  }

  /** The list is whole: who was not in it is gone. */
  listed(now: number): void {
    const listed = this.#listed ?? new Set()
    this.#listed = undefined
    for (const [uid, { deletedAt }] of this.#pods) {
      if (deletedAt === undefined && !listed.has(uid)) this.#markDeleted(uid, now)
    }
  }

  namespaceSeen(name: string, labels: Readonly<Record<string, string>>): void {
    this.#namespaces.set(name, labels)
    for (const pod of this.#pods.values()) {
      if (pod.facts.namespace === name) this.#replace(pod, { ...pod, facts: { ...pod.facts, namespaceLabels: labels } })
    }
  }

  /** Pods that were deleted in it keep what is known. */
  namespaceGone(name: string): void {
    this.#namespaces.delete(name)
  }

  /** Forgets deleted pods whose time is over. */
  expire(now: number): void {
    const { keepDeleted, isNeeded } = this.#options
    const deleted = [...this.#pods.values()]
      .filter(({ deletedAt }) => deletedAt !== undefined)
      .sort((a, b) => a.deletedAt! - b.deletedAt!)
    for (const [index, { facts, staticHash, deletedAt }] of deleted.entries()) {
      const surplus = index < deleted.length - maxDeleted
      const needed = () => isNeeded(facts.uid) || (staticHash !== undefined && isNeeded(staticHash))
      if (surplus || (now - deletedAt! > keepDeleted && !needed())) this.#forget(facts.uid)
    }
  }

  #markDeleted(uid: string, now: number): void {
    const pod = this.#pods.get(uid)
    if (pod !== undefined) this.#store({ ...pod, deletedAt: now })
  }

  /** Stores it when it is not the same as before. */
  #replace(before: KnownPod | undefined, pod: KnownPod): void {
    const same = before !== undefined && sameFacts(before.facts, pod.facts)
    if (same && before.ended === pod.ended && before.deletedAt === pod.deletedAt) return
    // What did not change keeps its identity: whoever holds it need not compare.
    this.#store(same ? { ...pod, facts: before.facts } : pod)
    if (same) return
    this.#options.onChange(pod.facts.uid)
    if (pod.staticHash !== undefined && pod.staticHash !== pod.facts.uid) this.#options.onChange(pod.staticHash)
  }

  #store(pod: KnownPod): void {
    const { uid, addresses } = pod.facts
    this.#pods.set(uid, pod)
    this.changes++
    if (pod.staticHash !== undefined) this.#byHash.set(pod.staticHash, uid)
    for (const address of addresses) {
      const holder = this.#pods.get(this.#byAddress.get(address) ?? '')
      // An address goes to another pod when its first one ended, and what is told late of the first does not take it back.
      const others = holder !== undefined && holder.facts.uid !== uid && !isOver(holder) && isOver(pod)
      if (!others) this.#byAddress.set(address, uid)
    }
  }

  #forget(uid: string): void {
    const pod = this.#pods.get(uid)
    if (pod === undefined) return
    this.#pods.delete(uid)
    this.changes++
    if (pod.staticHash !== undefined && this.#byHash.get(pod.staticHash) === uid) this.#byHash.delete(pod.staticHash)
    for (const address of pod.facts.addresses) if (this.#byAddress.get(address) === uid) this.#byAddress.delete(address)
  }
}

/** As they would be saved: what is undefined is as good as not there. */
function sameFacts(a: PodFacts, b: PodFacts): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function isOver({ ended, deletedAt }: KnownPod): boolean {
  return ended || deletedAt !== undefined
}
