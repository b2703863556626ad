import { expect, test } from 'vitest'
import { metadataName } from './metadata-name.ts'

test.for([
  ['trace_id', 'trace_id'],
  ['k-l', 'k_l'],
  ['m.n', 'm_n'],
  ['3x', 'key_3x'],
  ['a__b', 'a_b'],
  ['a -.b', 'a_b'],
  ['__c', '_c'],
  ['d__', 'd_'],
  ['_e', '_e'],
  ['/f', '_f'],
  ['__g-h__', '__g_h__'],
  ['__i__j__', '__i_j__'],
  ['____', '____'],
  ['ké', 'k_'],
  ['é', '_'],
  ['', '_'],
  ['__proto__', '___proto__'],
] as const)('%s becomes %s', ([name, shown]) => expect(metadataName(name)).toBe(shown))
