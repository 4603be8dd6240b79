import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Version } from '../../src/config/schema.ts'
import { Identities } from '../../src/control/identity.ts'
import type { UpstreamTarget } from '../../src/rollout/snapshot.ts'
import { openMemoryStore } from '../../src/state/memory.ts'

let build = 'build 1'
let asked: string[] = []
const server = createServer((request, response) => {
  asked.push(request.url ?? '')
  response.setHeader('x-build', build).end(`metadata of ${build}`)
})
let url: string
const changed: string[] = []

beforeEach(async () => {
  build = 'build 1'
  asked = []
  changed.length = 0
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
})

const versionOf = (identity: unknown) => Version.parse({ url, mirrorable: true, identity })
const targetOf = (address = url): UpstreamTarget => ({
  kind: 'url',
  urls: [address],
  protocol: 'v2',
  model: 'm',
  hasPath: false,
  connectMs: 100,
  firstByteMs: 100,
})
const open = (store = openMemoryStore()) => new Identities(store, key => changed.push(key))

test('a version that was never read is asked at once, and that is no news', async () => {
  const identities = open()
  expect(await identities.of('k', versionOf({ header: 'X-Build' }), targetOf())).toBe('build 1')
  expect(asked).toEqual(['/v2/models/m'])
  expect(changed).toEqual([])
  build = 'build 2'
  await identities.poll()
  expect(changed).toEqual(['k'])
  expect(await identities.of('k', versionOf({ header: 'X-Build' }), targetOf())).toBe('build 2')
  await identities.close()
})

test('another question is asked anew: what the old one said names nothing', async () => {
  const identities = open()
  await identities.of('k', versionOf({ header: 'X-Build' }), targetOf())
  expect(await identities.of('k', versionOf({ path: '/metadata' }), targetOf())).toBe('metadata of build 1')
  expect(asked).toEqual(['/v2/models/m', '/metadata'])
  await identities.close()
})

test('a server that is down keeps the identity on record, and has none when it was never read', async () => {
  const store = openMemoryStore()
  const first = open(store)
  const down = targetOf('http://127.0.0.1:1')
  expect(await first.of('down', versionOf({ header: 'X-Build' }), down)).toBeUndefined()
  await first.of('k', versionOf({ header: 'X-Build' }), targetOf())
  await first.close()
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
  const second = open(store)
  expect(await second.of('k', versionOf({ header: 'X-Build' }), targetOf())).toBe('build 1')
  await second.close()
})

test('a version that left is not asked any more', async () => {
  const identities = open()
  await identities.of('k', versionOf({ header: 'X-Build' }), targetOf())
  await identities.of('gone', versionOf({ path: '/gone' }), targetOf())
  identities.keep(new Set(['k']))
  asked = []
  await identities.poll()
  expect(asked).toEqual(['/v2/models/m'])
  await identities.close()
})

test('a version without an identity, and one that is named by the file, are not asked', async () => {
  const identities = open()
  expect(await identities.of('a', versionOf(undefined), targetOf())).toBe('')
  expect(await identities.of('b', versionOf({ literal: 'v7' }), targetOf())).toBe('v7')
  expect(asked).toEqual([])
  await identities.close()
})
