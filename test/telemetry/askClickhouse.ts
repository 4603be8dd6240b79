// Asks an in-process ClickHouse, in a process of its own: its library is loaded from a folder outside the project.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

interface Session {
  query(text: string, format?: string): string
  close(): void
}

const { folder, statements, queries } = JSON.parse(readFileSync(0, 'utf8')) as {
  folder: string
  statements: readonly string[]
  queries: Readonly<Record<string, string>>
}
const load = createRequire(join(folder, 'package.json'))
const { Session } = load('chdb') as { Session: new () => Session }
const session = new Session()
for (const statement of statements) session.query(statement)
const answers: Record<string, unknown[]> = {}
for (const [name, query] of Object.entries(queries)) {
  const lines = session.query(query, 'JSONEachRow').split('\n').filter(Boolean)
  answers[name] = lines.map(line => JSON.parse(line) as unknown)
}
process.stdout.write(JSON.stringify(answers))
session.close()
