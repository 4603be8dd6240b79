// Writes a manifest as model.yaml, laid out like the shipped ones: a tensor a line. Texts are quoted as JSON, which is YAML.
import type { Manifest } from '../models/manifest.ts'

export function manifestText({
  name,
  version,
  description,
  file,
  sha256,
  signature,
  provenance,
  golden,
}: Manifest): string {
  const { dataset, code, frameworks } = provenance
  const lines = [
    `name: ${text(name)}`,
    `version: ${text(version)}`,
    `description: ${text(description)}`,
    `file: ${text(file)}`,
    `sha256: ${text(sha256)}`,
    'signature:',
    ...tensors('inputs', signature.inputs, '  '),
    ...tensors('outputs', signature.outputs, '  '),
    'provenance:',
    '  dataset:',
    ...Object.entries(dataset).map(([key, value]) => `    ${key}: ${text(value)}`),
    '  code:',
    ...Object.entries(code).map(([key, value]) => `    ${key}: ${text(value)}`),
    `  frameworks: ${JSON.stringify(frameworks)}`,
    'golden:',
    `  tolerance: {absolute: ${golden.tolerance.absolute}, relative: ${golden.tolerance.relative}}`,
    '  vectors:',
    ...golden.vectors.flatMap(({ inputs, outputs }) => {
      const [first, ...rest] = [...tensors('inputs', inputs, '    '), ...tensors('outputs', outputs, '    ')]
      return [`  - ${first!.trimStart()}`, ...rest]
    }),
  ]
  return `${lines.join('\n')}\n`
}

type Entry = Manifest['signature']['inputs'][number] & { readonly data?: readonly unknown[] }

function tensors(key: string, entries: readonly Entry[], indent: string): string[] {
  return [
    `${indent}${key}:`,
    ...entries.map(({ name, datatype, shape, data }) => {
      const values = data === undefined ? '' : `, data: ${JSON.stringify(data)}`
      return `${indent}- {name: ${text(name)}, datatype: ${datatype}, shape: [${shape.join(', ')}]${values}}`
    }),
  ]
}

/** JSON allows U+2028 and its like bare in a text, which YAML reads as a line break. */
function text(value: string | number): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    sign => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
