// The JSON schema of routes.yaml for editors, from the zod schema. `node src/config/routesSchema.ts` prints it.
import { z } from 'zod'
import { RoutesFile } from './schema.ts'

type Json = { [key: string]: unknown }

// A reference may stand for any whole value, so an editor must not complain of `weight: "${env:WEIGHT}"`.
const REFERENCE = { type: 'string', pattern: '^\\$\\{(env|file):[^{}]+\\}$' }

/** JSON schema (draft 2020-12) of what may be written in routes.yaml: types, defaults and descriptions as written there. */
export function routesJsonSchema(): Json {
  const schema = z.toJSONSchema(RoutesFile, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'undefined') jsonSchema.not = {}
    },
  })
  return withReferences(schema as Json) as Json
}

/** The file src/config/routes.schema.json, byte for byte. */
export function routesSchemaText(): string {
  return `${JSON.stringify(routesJsonSchema(), null, 2)}\n`
}

function withReferences(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withReferences)
  if (node === null || typeof node !== 'object') return node
  const schema = node as Json
  if (
    ['number', 'integer', 'boolean'].includes(String(schema.type)) ||
    (schema.type === 'string' && (schema.pattern ?? schema.enum ?? schema.format))
  ) {
    const { description, default: byDefault, ...leaf } = schema
    return {
      ...(description === undefined ? {} : { description }),
      ...(byDefault === undefined ? {} : { default: byDefault }),
      anyOf: [leaf, REFERENCE],
    }
  }
  return Object.fromEntries(
    Object.entries(schema).map(([key, inner]) => [
      key,
      key === 'propertyNames' || key === 'default' ? inner : withReferences(inner),
    ]),
  )
}

if (import.meta.main) process.stdout.write(routesSchemaText())
