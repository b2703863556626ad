/** What the pods that a collector saved, and the rules of its configuration, tell of a log without a running collector. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMissing } from '@tributary/protocol/disk.ts'
import { podFromPath } from '../discover/layout.ts'
import { type SelectionConfig, selectBy } from '../discover/selection.ts'
import { policyOf } from '../metadata/annotations.ts'
import { usualPolicy } from '../metadata/log-policy.ts'
import type { PodFacts } from '../metadata/pod-facts.ts'
import { decodePods } from '../metadata/pod-file.ts'
import type { LogSnapshot } from './snapshot.ts'

export type SavedFacts = Pick<LogSnapshot, 'metadata' | 'excludedBy'>

/** Tells it of a log by the path it is known by. Throws when there is a file of pods that can't be read. */
export function savedPods(stateDir: string, selection: SelectionConfig): (path: string) => SavedFacts {
  const pods = readPods(stateDir)
  const select = selectBy(selection)
  return (path) => {
    const identity = podFromPath(join(path, '0.log'))
    if (identity === undefined) return {}
    const facts = pods.get(identity.uid)
    const { verdict, by } = select(identity, facts?.labels)
    const { excludedBy } = policyOf(facts, identity.container, {
      usual: usualPolicy,
      known: { parsers: [], patterns: [] },
    })
    const excluded = verdict === 'excluded' ? by : excludedBy && `annotation ${excludedBy}`
    return { ...(facts ? { metadata: 'known' } : {}), ...(excluded ? { excludedBy: excluded } : {}) }
  }
}

/** By uid, or by what a static pod's path has instead. */
function readPods(stateDir: string): Map<string, PodFacts> {
  const path = join(stateDir, 'pods')
  try {
    const pods = decodePods(readFileSync(path))
    return new Map(pods.map(({ facts, staticHash }) => [staticHash ?? facts.uid, facts]))
  } catch (error) {
    // Where the Kubernetes API is not asked there is none.
    if (isMissing(error)) return new Map()
    throw new Error(`${path}: ${(error as Error).message}`)
  }
}
