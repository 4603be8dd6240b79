// A real ClickHouse for tests, where there is one: the npm package `chdb` in a folder of its own, outside the project.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Of `npm run test:clickhouse`. Half a gigabyte: no part of the project's own installation. */
const FOLDER = process.env.CHDB_FOLDER ?? join(tmpdir(), 'understudy-chdb')

export const HAS_CLICKHOUSE = existsSync(join(FOLDER, 'node_modules', 'chdb', 'package.json'))

if (!HAS_CLICKHOUSE) {
  console.warn(
    'NOT TESTED: no ClickHouse was found, so the ready queries were not run. `npm run test:clickhouse` installs one outside the project.',
  )
}

const STRUCTURE =
  'Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, SpanName String, SpanKind String, ServiceName String, ResourceAttributes Map(String, String), SpanAttributes Map(String, String), Duration UInt64, StatusCode String'

/**
 * The columns that the OpenTelemetry collector's ClickHouse exporter gives its table of traces, in the default schema with
 * maps (its README and example/default_ddl); indices and the time to live are left out.
 */
const TABLE = `CREATE TABLE otel_traces (
  Timestamp DateTime64(9),
  TraceId String,
  SpanId String,
  ParentSpanId String,
  TraceState String,
  SpanName LowCardinality(String),
  SpanKind LowCardinality(String),
  ServiceName LowCardinality(String),
  ResourceAttributes Map(LowCardinality(String), String),
  ScopeName String,
  ScopeVersion String,
  SpanAttributes Map(LowCardinality(String), String),
  Duration UInt64,
  StatusCode LowCardinality(String),
  StatusMessage String,
  Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)),
  Links Nested (TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String))
) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, Timestamp)`

const KINDS = ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer']

interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[]
  readonly status?: { readonly code?: number }
}
export interface OtlpRequest {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[] }[]
}

/**
 * Runs queries over spans in the table that a collector would have put them in: every attribute as text.
 * @param folder where a file may be written
 */
export async function askClickhouse(
  requests: readonly OtlpRequest[],
  queries: Readonly<Record<string, string>>,
  parameters: Readonly<Record<string, string | number>>,
  folder: string,
): Promise<Record<string, readonly Record<string, unknown>[]>> {
  const rows = requests.flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans.map(rowOf))),
  )
  const file = join(folder, 'spans.json')
  await writeFile(file, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  const columns = STRUCTURE.replaceAll(/Map\([^)]*\)/g, 'Map')
    .split(', ')
    .map(column => column.split(' ')[0])
  const statements = [
    TABLE,
    `INSERT INTO otel_traces (${columns}) SELECT ${columns} FROM file('${file}', 'JSONEachRow', '${STRUCTURE}')`,
    ...Object.entries(parameters).map(([name, value]) => `SET param_${name} = '${value}'`),
  ]
  const script = fileURLToPath(new URL('./askClickhouse.ts', import.meta.url))
  const out = execFileSync(process.execPath, [script], {
    input: JSON.stringify({ folder: FOLDER, statements, queries }),
    maxBuffer: 1 << 28,
    timeout: 120_000,
    encoding: 'utf8',
  })
  return JSON.parse(out) as Record<string, readonly Record<string, unknown>[]>
}

function rowOf(span: OtlpSpan) {
  const nanos = (text: string) => `${text.slice(0, -9)}.${text.slice(-9)}`
  return {
    Timestamp: nanos(span.startTimeUnixNano),
    TraceId: span.traceId,
    SpanId: span.spanId,
    ParentSpanId: span.parentSpanId ?? '',
    SpanName: span.name,
    SpanKind: KINDS[span.kind],
    ServiceName: 'understudy',
    ResourceAttributes: {},
    SpanAttributes: Object.fromEntries(span.attributes.map(({ key, value }) => [key, String(Object.values(value)[0])])),
    Duration: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)),
    StatusCode: ['Unset', 'Ok', 'Error'][span.status?.code ?? 0],
  }
}
