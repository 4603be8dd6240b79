// Makes a folder of many distinct models from those that are shipped, each with its own bytes and digest.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'
import { Manifest } from '../../src/models/manifest.ts'

export interface MadeModel {
  readonly name: string
  /** A prediction request: the inputs of its first golden vector. */
  readonly body: string
}

const SHIPPED = fileURLToPath(new URL('../../models/', import.meta.url))
const NAMES = ['flight-delay', 'digits', 'tumour-risk']
const VERSIONS = ['1.0.0', '1.1.0', '2.0.0']
const DOC_STRING = (6 << 3) | 2

/** The model with another `doc_string` (field 6 of ModelProto): a later occurrence of a field takes the place of an earlier. */
export function withDocString(model: Uint8Array, text: string): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length > 127) throw new RangeError('the length must fit one byte of a varint')
  return Buffer.concat([model, Buffer.from([DOC_STRING, bytes.length]), bytes])
}

/** Writes `folder/m<i>/1.0.0/` for each model, the shipped ones in turn. */
export function makeModels(folder: string, count: number): MadeModel[] {
  const shipped = NAMES.flatMap(name => VERSIONS.map(version => join(SHIPPED, name, version)))
  return Array.from({ length: count }, (_, index) => {
    const from = shipped[index % shipped.length]!
    const name = `m${index}`
    const bytes = withDocString(readFileSync(join(from, 'model.onnx')), `copy ${index}`)
    const raw = parse(readFileSync(join(from, 'model.yaml'), 'utf8')) as object
    const manifest = { ...raw, name, version: '1.0.0', sha256: createHash('sha256').update(bytes).digest('hex') }
    const into = join(folder, name, '1.0.0')
    mkdirSync(into, { recursive: true })
    writeFileSync(join(into, 'model.onnx'), bytes)
    writeFileSync(join(into, 'model.yaml'), stringify(manifest))
    return { name, body: JSON.stringify({ inputs: Manifest.parse(manifest).golden.vectors[0]!.inputs }) }
  })
}
