// Reads the held-out flights and writes them as V2 requests. Knows nothing of connections or of what comes back.
import { readFile } from 'node:fs/promises'

/** What a request is made of: one input tensor a column, in the model's order. */
const TEXT_COLUMNS = ['origin', 'carrier', 'dest']
const NUMBER_COLUMNS = [
  'day_of_week',
  'hour',
  'minute',
  'distance',
  'temp',
  'humid',
  'wind_speed',
  'precip',
  'pressure',
  'visib',
  'origin_delay',
]

export interface Flight {
  readonly inputs: Readonly<Record<string, string | number>>
  readonly origin: string
  /** Whether it really arrived more than 15 minutes late. */
  readonly late: 0 | 1
}

/** The rows of traffic.csv. @throws when a column is missing or a figure is none */
export async function readFlights(file: URL): Promise<readonly Flight[]> {
  const [head = '', ...lines] = (await readFile(file, 'utf8')).trim().split(/\r?\n/)
  const columns = head.split(',')
  for (const name of [...TEXT_COLUMNS, ...NUMBER_COLUMNS, 'late'])
    if (!columns.includes(name)) throw new Error(`the traffic file has no column ${name}`)
  return lines.map((line, index) => {
    const cells = line.split(',')
    const cell = (name: string) => cells[columns.indexOf(name)] ?? ''
    const figure = (name: string) => {
      const value = Number(cell(name))
      if (cell(name) === '' || !Number.isFinite(value))
        throw new Error(`row ${index + 1} of the traffic file: ${name} is no number`)
      return value
    }
    const inputs: Record<string, string | number> = {}
    for (const name of TEXT_COLUMNS) inputs[name] = cell(name)
    for (const name of NUMBER_COLUMNS) inputs[name] = figure(name)
    return { inputs, origin: cell('origin'), late: figure('late') === 1 ? 1 : 0 }
  })
}

/** The body of a V2 inference request for these flights, one row each. */
export function requestBody(flights: readonly Flight[]): string {
  return JSON.stringify({
    inputs: [...TEXT_COLUMNS, ...NUMBER_COLUMNS].map(name => ({
      name,
      datatype: TEXT_COLUMNS.includes(name) ? 'BYTES' : 'FP32',
      shape: [flights.length, 1],
      data: flights.map(({ inputs }) => inputs[name]),
    })),
  })
}

/** The probabilities of being late in a V2 answer, one a row. @throws when the answer holds none */
export function probabilities(answer: string): number[] {
  const { outputs } = JSON.parse(answer) as { outputs?: readonly { name: string; data: readonly number[] }[] }
  const data = outputs?.find(({ name }) => name === 'probability')?.data
  if (data === undefined) throw new Error('the answer holds no probability')
  return data.filter((_, index) => index % 2 === 1)
}
