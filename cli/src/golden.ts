/** `tributary test`: runs the cases beside a configuration and shows what is not as they expect. */
import { dirname, resolve } from 'node:path'
import { collectorConfig } from '@tributary/collector/config.ts'
import { compareCase } from '@tributary/collector/golden/compare.ts'
import { goldenConfig } from '@tributary/collector/golden/golden-config.ts'
import { runCase } from '@tributary/collector/golden/run-cases.ts'
import { loadConfig } from '@tributary/protocol/config-file.ts'
import type { Print } from './query.ts'

/** True when every case of every file passes. Throws {@link ConfigError} for a file that can't be used. */
export async function runGolden(files: readonly string[], print: Print): Promise<boolean> {
  let [passed, failed] = [0, 0]
  for (const file of files) {
    const { config: name, cases } = loadConfig(file, goldenConfig)
    const configFile = resolve(dirname(file), name)
    const config = loadConfig(configFile, collectorConfig)
    for (const golden of cases) {
      const difference = compareCase(golden, await runCase(config, configFile, golden))
      if (difference.length === 0) passed++
      else {
        failed++
        print(`${file}: ${golden.name}`)
        for (const row of difference) print(row)
      }
    }
  }
  print(failed === 0 ? `${passed} passed` : `${passed} passed, ${failed} failed`)
  return failed === 0
}
