/** Tells of annotations that can't be followed: each counted and logged once, however many pods of a workload carry it. */
import type { Logger } from 'pino'
import type { AnnotationProblem, AnnotationProblemReason } from './annotations.ts'

/** Told problems that are remembered; beyond it the oldest may be told again. */
const capacity = 1000

export class AnnotationProblems {
  readonly #told = new Set<string>()
  readonly #log: Logger
  readonly #counter: { inc(count: number, reason: AnnotationProblemReason): void }

  constructor(log: Logger, counter: { inc(count: number, reason: AnnotationProblemReason): void }) {
    this.#log = log
    this.#counter = counter
  }

  /** @param workload stands for all pods that come from one template */
  tell(problems: readonly AnnotationProblem[], workload: { readonly name: string } | undefined): void {
    for (const problem of problems) {
      const { reason, namespace, pod, annotation, value } = problem
      const key = JSON.stringify([reason, namespace, workload?.name ?? pod, annotation, value])
      if (this.#told.has(key)) continue
      this.#told.add(key)
      if (this.#told.size > capacity) this.#told.delete(this.#told.values().next().value!)
      this.#counter.inc(1, reason)
      this.#log.warn(problem, "annotation not followed; the rest of the pod's annotations are")
    }
  }
}
