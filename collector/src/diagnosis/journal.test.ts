import { expect, test } from 'vitest'
import { Journal } from './journal.ts'

test('of each path the newest trouble is kept, until it is over', () => {
  const journal = new Journal()
  journal.trouble('/a', 'EACCES', 1)
  journal.trouble('/b', 'EIO', 2)
  journal.trouble('/a', 'EMFILE', 3)
  expect([...journal.troubles()].map(({ path, text }) => `${path} ${text}`)).toEqual(['/b EIO', '/a EMFILE'])
  journal.mended('/a')
  expect(journal.troubleOf('/a')).toBeUndefined()
})

test('it does not grow for ever, and forgets the oldest first', () => {
  const journal = new Journal()
  for (let i = 0; i < 5000; i++) {
    journal.trouble(`/${i}`, 'EIO', i)
    journal.gap({ path: `/${i}`, kind: 'lost', reason: 'deleted', range: [0, 1] })
  }
  expect([...journal.troubles()].length).toBe(1000)
  expect(journal.gaps().length).toBe(1000)
  expect(journal.troubleOf('/4999')?.at).toBe(4999)
  expect(journal.gaps()[0]!.path).toBe('/4000')
})
