import { appendFile, cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test, vi } from 'vitest'
import { ModelRegistry } from '../../src/control/models.ts'
import type { VerifyModel } from '../../src/scoring/message.ts'
import { MODELS, manifestOf, scratch } from '../e2e/gateway.ts'

const parsed = vi.hoisted(() => ({ texts: 0 }))
vi.mock('yaml', async load => {
  const yaml = await load<typeof import('yaml')>()
  return {
    ...yaml,
    parse: (text: string) => {
      parsed.texts++
      return yaml.parse(text)
    },
  }
})

const { signature, sha256 } = manifestOf('digits', '1.0.0')
const versions = { '1.0.0': { onnx: 'digits/1.0.0' } } as never
let folder: string
let verified: VerifyModel[]
let warnings: string[]
let registry: ModelRegistry

beforeEach(async () => {
  folder = await scratch()
  await cp(join(MODELS, 'digits'), join(folder, 'digits'), { recursive: true })
  parsed.texts = 0
  verified = []
  warnings = []
  registry = new ModelRegistry({
    verify: async model => {
      verified.push(model)
      return { ...signature, p99Ms: 0.1 }
    },
    identities: { of: async () => undefined },
    warn: message => warnings.push(message),
  })
})

const inspect = () => registry.inspect(folder, 'digits', versions)

test('a manifest that says the same is neither parsed nor its model verified again', async () => {
  expect(await inspect()).toEqual({ '1.0.0': sha256 })
  const known = registry.known('digits', '1.0.0')
  expect(await inspect()).toEqual({ '1.0.0': sha256 })
  expect(registry.known('digits', '1.0.0')).toBe(known)
  expect(parsed.texts).toBe(1)
  expect(verified).toHaveLength(1)
})

test('a manifest that says something else is parsed, and its model verified, anew', async () => {
  await inspect()
  const file = join(folder, 'digits', '1.0.0', 'model.yaml')
  await writeFile(file, (await readFile(file, 'utf8')).replace(/^description: .*$/m, 'description: another'))
  expect(await inspect()).toEqual({ '1.0.0': sha256 })
  expect(registry.known('digits', '1.0.0')?.manifest?.description).toBe('another')
  expect(parsed.texts).toBe(2)
  expect(verified).toHaveLength(2)
})

test('a file with other bytes is told though its manifest says the same', async () => {
  await inspect()
  await appendFile(join(folder, 'digits', '1.0.0', 'model.onnx'), 'x')
  expect(await inspect()).toEqual({ '1.0.0': sha256 })
  expect(warnings.join()).toMatch(/sha256 .* the model that is loaded serves on/)
  expect(verified).toHaveLength(1)
})
