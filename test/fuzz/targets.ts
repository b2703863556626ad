/** Every decoder that reads what others sent or what a disk kept, each with the errors that it says it throws. */
import type { Target } from './fuzz.ts'
import { diskTargets } from './targets/disk.ts'
import { pushTargets } from './targets/pushes.ts'
import { queryTargets } from './targets/queries.ts'
import { wireTargets } from './targets/wire.ts'

export const targets: readonly Target[] = [...wireTargets, ...pushTargets, ...queryTargets, ...diskTargets]
