// Reads a model's held-out rows and writes them as V2 requests with their truth. Knows nothing of connections.
import { readFile } from 'node:fs/promises'
import type { ModelCase } from './cases.ts'

export interface Row {
  readonly body: string
  /** What came true. */
  readonly truth: number
}

/** @throws when a column is missing or a figure is none */
export async function readRows(of: ModelCase, file: URL): Promise<readonly Row[]> {
  const [head = '', ...lines] = (await readFile(file, 'utf8')).trim().split(/\r?\n/)
  const columns = head.split(',').filter(name => name !== 'time')
  const skipped = head.split(',').length - columns.length
  if (columns.at(-1) !== of.truth) throw new Error(`${of.name}: the last column is ${columns.at(-1)}, not ${of.truth}`)
  return lines.map((line, index) => {
    const cells = line.split(',').slice(skipped)
    const figure = (at: number) => {
      const value = Number(cells[at])
      if (cells[at] === '' || !Number.isFinite(value))
        throw new Error(`${of.name}, row ${index + 1}: ${columns[at]} is no number`)
      return value
    }
    const inputs =
      of.vector === undefined
        ? columns.slice(0, -1).map((name, at) => {
            const isText = of.textColumns.includes(name)
            return {
              name,
              datatype: isText ? 'BYTES' : 'FP32',
              shape: [1, 1],
              data: [isText ? (cells[at] ?? '') : figure(at)],
            }
          })
        : [
            {
              name: of.vector,
              datatype: 'FP32',
              shape: [1, columns.length - 1],
              data: columns.slice(0, -1).map((_, at) => figure(at)),
            },
          ]
    return { body: JSON.stringify({ inputs }), truth: figure(columns.length - 1) }
  })
}
