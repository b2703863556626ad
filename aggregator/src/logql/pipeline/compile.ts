/** From stages of the syntax tree to functions. They keep state between entries, so each evaluation compiles its own. */
import type { Stage } from '../ast.ts'
import { dropLabels, keepLabels } from './choose-labels.ts'
import { decolorize } from './decolorize.ts'
import { labelFormat, lineFormat } from './format.ts'
import { jsonParser } from './json.ts'
import { jsonPathParser } from './json-path.ts'
import { labelFilter } from './label-filter.ts'
import { lineFilter } from './line-filter.ts'
import { logfmtParser, logfmtPathParser } from './logfmt.ts'
import { patternParser } from './pattern.ts'
import { regexpParser } from './regexp.ts'
import type { CompiledStage } from './stage.ts'
import { unpackParser } from './unpack.ts'

/** One function for all of them. */
export function compileStages(stages: readonly Stage[]): CompiledStage {
  const compiled = stages.map(compileStage)
  return (entry) => {
    for (const stage of compiled) if (!stage(entry)) return false
    return true
  }
}

export function compileStage(stage: Stage): CompiledStage {
  switch (stage.kind) {
    case 'line':
      return lineFilter(stage.op, stage.alternatives)
    case 'json':
      return stage.extractions.length > 0 ? jsonPathParser(stage.extractions) : jsonParser()
    case 'logfmt':
      return stage.extractions.length > 0
        ? logfmtPathParser(stage.extractions, stage.strict)
        : logfmtParser(stage.strict, stage.keepEmpty)
    case 'regexp':
      return regexpParser(stage.pattern)
    case 'pattern':
      return patternParser(stage.pattern)
    case 'unpack':
      return unpackParser()
    case 'decolorize':
      return decolorize
    case 'label':
      return labelFilter(stage.filter)
    case 'line_format':
      return lineFormat(stage.template)
    case 'label_format':
      return labelFormat(stage.assignments)
    case 'drop':
      return dropLabels(stage.choices)
    case 'keep':
      return keepLabels(stage.choices)
  }
}
