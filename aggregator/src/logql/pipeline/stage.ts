/** A compiled stage: changes the entry, and says whether it stays. */
import type { WorkingEntry } from './working-entry.ts'

export type CompiledStage = (entry: WorkingEntry) => boolean
