import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { routesJsonSchema, routesSchemaText } from '../../src/config/routesSchema.ts'

type Json = { [key: string]: Json | string | number }

test('routes.schema.json is up to date: else run `node src/config/routesSchema.ts > src/config/routes.schema.json`', () => {
  expect(readFileSync('src/config/routes.schema.json', 'utf8')).toBe(routesSchemaText())
})

test('every key has a description, and every key of a finite set of forms a type', () => {
  const missing: string[] = []
  const walk = (node: unknown, path: string): void => {
    if (node === null || typeof node !== 'object') return
    for (const [key, value] of Object.entries(node)) {
      if (key === 'properties')
        for (const [name, schema] of Object.entries(value as Json))
          if (typeof (schema as Json).description !== 'string') missing.push(`${path}.${name}`)
      walk(value, `${path}/${key}`)
    }
  }
  walk(routesJsonSchema(), '')
  expect(missing).toEqual([])
})

test('defaults stand as they would be written in the file', () => {
  const { properties } = routesJsonSchema() as { properties: Record<string, Json> }
  expect(properties.listen!.default).toBe('127.0.0.1:8080')
  expect(JSON.stringify(properties.routes)).toContain('"default":"14d"')
  expect(JSON.stringify(properties.mirror)).toContain('"default":"32MiB"')
})

test('a key that is not supported yet may not stand there', () => {
  expect(JSON.stringify(routesJsonSchema())).toContain('"description":"fallback: not supported yet","not":{}')
})
