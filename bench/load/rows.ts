// Real held-out rows of flight-delay as V2 requests.
import { readFileSync } from 'node:fs'

const TRAFFIC = new URL('../../models/flight-delay/traffic.csv', import.meta.url)
const TEXT_INPUTS = new Set(['origin', 'carrier', 'dest'])
const NOT_INPUTS = new Set(['time', 'late'])

/** The first `count` rows, each a request body. */
export function flightRequests(count: number): string[] {
  const [header, ...rows] = readFileSync(TRAFFIC, 'utf8').split('\n')
  const columns = header!.split(',')
  return rows.slice(0, count).map(row => {
    const values = row.split(',')
    const inputs = columns.flatMap((name, column): object[] => {
      if (NOT_INPUTS.has(name)) return []
      const value = values[column]!
      return TEXT_INPUTS.has(name)
        ? [{ name, datatype: 'BYTES', shape: [1, 1], data: [value] }]
        : [{ name, datatype: 'FP32', shape: [1, 1], data: [Number(value)] }]
    })
    return JSON.stringify({ inputs })
  })
}
