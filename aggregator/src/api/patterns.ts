/** `patterns`: none are mined. An empty answer is what Grafana takes for none; a missing path it takes for a fault. */
import { readSelector } from './label-queries.ts'
import { type ApiRequest, rangeOf } from './request.ts'

export async function answerPatterns(request: ApiRequest): Promise<string> {
  readSelector(request.parameters.get('query'))
  rangeOf(request)
  return '{"status":"success","data":[]}'
}
