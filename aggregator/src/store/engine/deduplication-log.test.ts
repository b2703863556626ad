import { expect, test } from 'vitest'
import { repairOf } from './deduplication-log.ts'

const log = (...lines: string[]) => [{ path: '1', text: lines.map((line) => `${line}\n`).join('') }]
const one = '1\t20261101_1_1_0\t20261101_11_22'
const two = '1\t20261101_2_2_0\t20261101_33_44'

test.for([
  {
    when: 'log and parts agree',
    files: log(one, two),
    parts: ['20261101_1_1_0', '20261101_2_2_0', 'detached', 'deduplication_logs', 'format_version.txt'],
    expected: { files: [], forgotten: 0, setAside: [] },
  },
  {
    when: 'parts were merged and mutated',
    files: log(one, two),
    parts: ['20261101_1_2_1_9'],
    expected: { files: [], forgotten: 0, setAside: [] },
  },
  {
    when: 'the process died between token and part',
    files: log(one, two),
    parts: ['20261101_1_1_0', 'tmp_insert_20261101_2_2_0'],
    expected: { files: log(one), forgotten: 1, setAside: [] },
  },
  {
    when: 'another partition has the number',
    files: log(one, two),
    parts: ['20261101_1_1_0', '20261102_2_2_0'],
    expected: { files: log(one), forgotten: 1, setAside: [] },
  },
  {
    when: 'the power was cut before the token was on disk',
    files: log(one),
    parts: ['20261101_1_1_0', '20261101_2_2_0'],
    expected: { files: [], forgotten: 0, setAside: ['20261101_2_2_0'] },
  },
  {
    when: 'the last line is torn',
    files: [{ path: '1', text: `${one}\n1\t2026110` }],
    parts: ['20261101_1_1_0'],
    expected: { files: log(one), forgotten: 0, setAside: [] },
  },
  {
    when: 'the tail is zeros',
    files: [{ path: '1', text: `${one}\n${'\0'.repeat(40)}` }],
    parts: ['20261101_1_1_0'],
    expected: { files: log(one), forgotten: 0, setAside: [] },
  },
  {
    when: 'the log has forgotten the first part',
    files: log(two),
    parts: ['20261101_1_1_0', '20261101_2_2_0'],
    expected: { files: [], forgotten: 0, setAside: [] },
  },
  {
    when: 'the log is new and the table is not',
    files: log(),
    parts: ['20261101_7_7_0'],
    expected: { files: [], forgotten: 0, setAside: [] },
  },
  {
    when: 'a partition was dropped',
    files: log(one, '2\t20261101_1_1_0\t20261101_11_22'),
    parts: [],
    expected: { files: [], forgotten: 0, setAside: [] },
  },
])('$when', ({ files, parts, expected }) => expect(repairOf(files, parts)).toEqual(expected))

test('tokens are judged over all files of the log', () => {
  const files = [
    { path: '1', text: `${one}\n` },
    { path: '2', text: `${two}\n` },
  ]
  expect(repairOf(files, ['20261101_2_2_0'])).toEqual({ files: [{ path: '1', text: '' }], forgotten: 1, setAside: [] })
})
