import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { FEATURE_FLAG, SPAN } from '../../src/telemetry/attributeNames.ts'

const FOLDER = fileURLToPath(new URL('../../src/telemetry/queries', import.meta.url))
const files = readdirSync(FOLDER)
const KNOWN = new Set<string>([...Object.values(SPAN), ...Object.values(FEATURE_FLAG), 'http.response.status_code'])

describe('the ready queries', () => {
  it('are for ClickHouse and for Tempo', () => {
    expect(files.filter(file => file.endsWith('.sql')).length).toBeGreaterThan(5)
    expect(files.filter(file => file.endsWith('.traceql'))).toHaveLength(1)
  })

  it.each(files)('name attributes that spans have: %s', file => {
    const text = readFileSync(join(FOLDER, file), 'utf8')
    const names = file.endsWith('.sql')
      ? [...text.matchAll(/SpanAttributes\['([^']+)'\]/g)].map(([, name]) => name!)
      : [...text.matchAll(/\bspan\.([a-z_.]+[a-z_])/g)].map(([, name]) => name!)
    expect(names.length).toBeGreaterThan(2)
    expect(names.filter(name => !KNOWN.has(name))).toEqual([])
  })
})
