import { describe, expect, test } from 'vitest'
import { Access, forAdmin, forAnyone, forPush, forRead, open } from './access.ts'
import { AccessError } from './access-error.ts'
import { authConfig } from './config.ts'
import { Credentials, parseAuthorization } from './credentials.ts'

const config = authConfig.parse({
  credentials: [
    { name: 'shop', token: 'shop-token', roles: ['push', 'read'], tenants: ['shop'] },
    { name: 'both', username: 'ann', password: 'pass:word', roles: ['read'], tenants: ['shop', 'bank'] },
    { name: 'gateway', token: 'gateway-token', roles: ['push', 'read'], tenants: ['*'] },
    { name: 'root', token: 'root-token', roles: ['admin'], tenants: ['*'] },
  ],
})
const many = new Access(new Credentials(config.credentials), true)
const single = new Access(new Credentials(config.credentials), false)
const nobody = new Access(new Credentials([]), true)
const plain = new Access(new Credentials([]), false)

const bearer = (token: string, tenant?: string) => ({
  authorization: `Bearer ${token}`,
  ...(tenant === undefined ? {} : { 'x-scope-orgid': tenant }),
})
const basic = (pair: string, tenant?: string) => ({
  authorization: `Basic ${Buffer.from(pair).toString('base64')}`,
  ...(tenant === undefined ? {} : { 'x-scope-orgid': tenant }),
})

test.for([
  {
    when: 'nothing is configured',
    access: plain,
    headers: { 'x-scope-orgid': 'bank' },
    to: forPush,
    tenants: ['fake'],
  },
  {
    when: 'tenants are told without credentials',
    access: nobody,
    headers: { 'x-scope-orgid': 'b|a|b' },
    to: forRead,
    tenants: ['a', 'b'],
  },
  { when: 'a credential has one tenant', access: many, headers: bearer('shop-token'), to: forPush, tenants: ['shop'] },
  { when: 'it names that tenant', access: many, headers: bearer('shop-token', 'shop'), to: forRead, tenants: ['shop'] },
  {
    when: 'a user asks for both',
    access: many,
    headers: basic('ann:pass:word', 'shop|bank'),
    to: forRead,
    tenants: ['bank', 'shop'],
  },
  {
    when: 'a credential may name any',
    access: many,
    headers: bearer('gateway-token', "x.y!-_*'()"),
    to: forPush,
    tenants: ["x.y!-_*'()"],
  },
  {
    when: 'there is one tenant',
    access: single,
    headers: bearer('shop-token', 'bank'),
    to: forRead,
    tenants: ['fake'],
  },
  { when: 'an admin reads', access: many, headers: bearer('root-token', 'bank'), to: forRead, tenants: ['bank'] },
  { when: 'an admin names no tenant', access: many, headers: bearer('root-token'), to: forAdmin, tenants: [] },
  {
    when: 'the scheme is in lower case',
    access: many,
    headers: { authorization: 'bearer  shop-token ' },
    to: forRead,
    tenants: ['shop'],
  },
  { when: 'anyone known will do', access: many, headers: basic('ann:pass:word'), to: forAnyone, tenants: [] },
  { when: 'a route is open', access: many, headers: {}, to: open, tenants: [] },
])('$when: let in for $tenants', ({ access, headers, to, tenants }) => {
  expect(access.grant(headers, to).tenants).toEqual(tenants)
})

test.for([
  { when: 'no credential', headers: {}, to: forRead, problem: 'no_credential', status: 401 },
  { when: 'no credential, for anyone', headers: {}, to: forAnyone, problem: 'no_credential', status: 401 },
  {
    when: 'another scheme',
    headers: { authorization: 'Digest x' },
    to: forRead,
    problem: 'no_credential',
    status: 401,
  },
  { when: 'a wrong token', headers: bearer('shop-token2'), to: forRead, problem: 'wrong_credential', status: 401 },
  {
    when: 'a password as a token',
    headers: bearer('pass:word'),
    to: forRead,
    problem: 'wrong_credential',
    status: 401,
  },
  {
    when: 'a token as a password',
    headers: basic('shop:shop-token'),
    to: forRead,
    problem: 'wrong_credential',
    status: 401,
  },
  { when: 'a wrong user', headers: basic('bob:pass:word'), to: forRead, problem: 'wrong_credential', status: 401 },
  {
    when: 'user and password cut elsewhere',
    headers: basic('ann:pass:wor'),
    to: forRead,
    problem: 'wrong_credential',
    status: 401,
  },
  { when: 'a reader that pushes', headers: basic('ann:pass:word', 'shop'), to: forPush, problem: 'role', status: 403 },
  { when: 'a pusher in the audit', headers: bearer('shop-token'), to: forAdmin, problem: 'role', status: 403 },
  { when: 'another tenant', headers: bearer('shop-token', 'bank'), to: forRead, problem: 'tenant', status: 403 },
  {
    when: 'another tenant among its own',
    headers: basic('ann:pass:word', 'shop|other'),
    to: forRead,
    problem: 'tenant',
    status: 403,
  },
  { when: 'which of two tenants', headers: basic('ann:pass:word'), to: forRead, problem: 'bad_tenant', status: 401 },
  { when: 'an empty header', headers: bearer('gateway-token', ''), to: forRead, problem: 'bad_tenant', status: 401 },
  { when: 'no tenant at all', headers: bearer('root-token'), to: forRead, problem: 'bad_tenant', status: 401 },
  {
    when: 'two tenants for a push',
    headers: bearer('gateway-token', 'a|b'),
    to: forPush,
    problem: 'bad_tenant',
    status: 400,
  },
  { when: 'an empty name', headers: bearer('gateway-token', 'a|'), to: forRead, problem: 'bad_tenant', status: 400 },
  {
    when: 'two headers in one',
    headers: bearer('gateway-token', 'a, b'),
    to: forRead,
    problem: 'bad_tenant',
    status: 400,
  },
  { when: 'a quote', headers: bearer('gateway-token', 'a"; DROP'), to: forRead, problem: 'bad_tenant', status: 400 },
  { when: 'a path', headers: bearer('gateway-token', '..'), to: forRead, problem: 'bad_tenant', status: 400 },
  {
    when: 'a long name',
    headers: bearer('gateway-token', 'x'.repeat(151)),
    to: forRead,
    problem: 'bad_tenant',
    status: 400,
  },
])('$when: refused as $problem with $status', ({ headers, to, problem, status }) => {
  try {
    many.grant(headers, to)
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(AccessError)
    expect(error).toMatchObject({ problem, statusCode: status })
    expect((error as Error).message).not.toMatch(/-token|pass:word/)
  }
})

describe('the configuration', () => {
  test.for([
    { what: 'a token and a password', entry: { token: 'a', password: 'b', username: 'c' } },
    { what: 'neither', entry: {} },
    { what: 'a password without a user', entry: { password: 'b' } },
    { what: 'a token with a user', entry: { token: 'a', username: 'c' } },
    { what: 'a user with a colon', entry: { password: 'a', username: 'c:d' } },
    { what: 'a tenant that can be none', entry: { token: 'a', tenants: ['a b'] } },
    { what: 'no role', entry: { token: 'a', roles: [] } },
  ])('refuses $what', ({ entry }) => {
    expect(authConfig.safeParse({ credentials: [{ name: 'x', roles: ['read'], ...entry }] }).success).toBe(false)
  })

  test('refuses two credentials of one name', () => {
    const one = { name: 'x', roles: ['read'], token: 'a' }
    expect(authConfig.safeParse({ credentials: [one, { ...one, token: 'b' }] }).success).toBe(false)
  })
})

test.for([
  { what: 'nothing', header: '' },
  { what: 'a scheme alone', header: 'Basic' },
  { what: 'what is not base64', header: 'Basic !!!' },
  { what: 'a header without end', header: `Basic ${Buffer.from(`a:${'x'.repeat(9000)}`).toString('base64')}` },
  { what: 'two words', header: 'Bearer a b' },
  { what: 'two headers in one', header: 'Bearer a, Bearer b' },
  { what: 'a user without a colon', header: 'Basic bm9jb2xvbg==' },
])('$what is no credential', ({ header }) => expect(parseAuthorization(header)).toBeUndefined())
