import { expect, test } from 'vitest'
import { StoreError } from './error.ts'
import { refusedSetting } from './refused-setting.ts'

const settings = { max_threads: 2, max_insert_threads: '1', insert_deduplication_token: 't' }

test.for([
  {
    code: 115,
    message: "Setting max_threads is neither a builtin setting nor started with the prefix 'SQL_'",
    name: 'max_threads',
    required: false,
    always: true,
  },
  {
    code: 164,
    message: "Cannot modify 'max_insert_threads' setting in readonly mode.",
    name: 'max_insert_threads',
    required: false,
    always: true,
  },
  {
    code: 452,
    message: 'Setting insert_deduplication_token should not be changed.',
    name: 'insert_deduplication_token',
    required: true,
    always: false,
  },
])('$code refuses $name', ({ code, message, name, required, always }) => {
  expect(refusedSetting(new StoreError('rejected', message, code), settings)).toEqual({ name, required, always })
})

test.for([
  { why: 'another error', code: 62, message: 'Syntax error near max_threads' },
  {
    why: 'a statement that a read-only user may not run',
    code: 164,
    message: 'Cannot execute query in readonly mode.',
  },
  { why: 'a setting that was not given', code: 115, message: 'Unknown setting max_threads_for_something' },
])('$why is no refusal of a setting', ({ code, message }) => {
  expect(refusedSetting(new StoreError('rejected', message, code), settings)).toBeUndefined()
})
