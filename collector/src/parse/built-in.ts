import { jsonParser } from './json.ts'
import { logfmtParser } from './logfmt.ts'
import type { BuiltInParser } from './names.ts'
import { nginxParser } from './nginx.ts'
import type { Parser } from './parser.ts'

const parsers: Readonly<Record<BuiltInParser, Parser>> = {
  json: jsonParser,
  logfmt: logfmtParser,
  nginx: nginxParser,
}

export function builtInParser(name: BuiltInParser): Parser {
  return parsers[name]
}
