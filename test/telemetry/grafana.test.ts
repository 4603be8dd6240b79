import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { HISTOGRAMS, METRICS } from './metricsTable.ts'
import { namedIn } from './promql.ts'
import { HAS_PROMTOOL, PROMTOOL_MS, promtool } from './promtool.ts'

const fileOf = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const ALERTS = fileOf('../../src/telemetry/grafana/alerts.yaml')
const DASHBOARD = fileOf('../../src/telemetry/grafana/dashboard.json')
/** The second looks at longer spans, at a coarser step. */
const ALERT_TESTS = ['./alerts.test.yaml', './alertsOverADay.test.yaml'].map(fileOf)

const text = z.string().min(1)
const Datasource = z.object({ type: text, uid: text })
const Target = z.object({ refId: text, datasource: Datasource, expr: text })
const GridPos = z.object({
  x: z.int().min(0),
  y: z.int().min(0),
  w: z.int().min(1).max(24),
  h: z.int().min(1),
})
const Row = z.object({ id: z.int(), type: z.literal('row'), title: text, gridPos: GridPos, panels: z.tuple([]) })
const Panel = z.object({
  id: z.int(),
  type: z.enum(['timeseries', 'stat', 'state-timeline', 'heatmap', 'table']),
  title: text,
  description: z.string().min(20),
  datasource: Datasource,
  gridPos: GridPos,
  fieldConfig: z.object({ defaults: z.looseObject({ unit: text }), overrides: z.array(z.unknown()) }),
  options: z.looseObject({}),
  targets: z.array(Target).min(1),
})
const Variable = z.object({ name: text, label: text, type: z.enum(['datasource', 'query']), query: z.unknown() })
const Dashboard = z.object({
  uid: text,
  title: text,
  schemaVersion: z.int().min(39),
  templating: z.object({ list: z.array(Variable) }),
  annotations: z.object({ list: z.array(z.looseObject({ expr: text.optional() })) }),
  panels: z.array(z.union([Row, Panel])),
})

const dashboard = Dashboard.parse(JSON.parse(readFileSync(DASHBOARD, 'utf8')))
const panels = dashboard.panels.filter(panel => panel.type !== 'row')
const rows = dashboard.panels.filter(panel => panel.type === 'row')

const Rules = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: text,
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Understudy[A-Z][A-Za-z]+$/),
          expr: text,
          for: text.optional(),
          keep_firing_for: text.optional(),
          labels: z.strictObject({ severity: z.enum(['critical', 'warning', 'info']) }),
          annotations: z.strictObject({
            summary: z.string().min(20),
            description: z.string().min(20),
            runbook: z.string().min(20),
          }),
        }),
      ),
    }),
  ),
})
const alerts = Rules.parse(parse(readFileSync(ALERTS, 'utf8'))).groups.flatMap(({ rules }) => rules)

/** Labels that Prometheus itself gives to whatever it scrapes. */
const SCRAPED = ['instance', 'job']

/** What an expression names that Understudy does not have. */
function unknownIn(expr: string): string[] {
  const { selectors, grouping } = namedIn(expr)
  const wrong: string[] = []
  const all = new Set(SCRAPED)
  for (const { metric, labels } of selectors) {
    const [, name = metric, suffix] = /^(.*)_(bucket|sum|count)$/.exec(metric) ?? []
    const isHistogram = HISTOGRAMS.includes(name)
    const has = isHistogram === (suffix !== undefined) ? METRICS[name] : undefined
    if (has === undefined) wrong.push(metric)
    const known = [...(has ?? []), ...SCRAPED, ...(suffix === 'bucket' ? ['le'] : [])]
    for (const label of known) all.add(label)
    wrong.push(...labels.filter(label => !known.includes(label)).map(label => `${metric}{${label}}`))
  }
  return [...wrong, ...grouping.filter(label => !all.has(label)).map(label => `by (${label})`)]
}

describe('the reading of PromQL', () => {
  it.each([
    ['understudy_nothing_total', ['understudy_nothing_total']],
    ['rate(understudy_requests_total{model="a"}[5m])', ['understudy_requests_total{model}']],
    ['sum by (candidate) (understudy_ready)', ['by (candidate)']],
    ['understudy_request_duration_seconds', ['understudy_request_duration_seconds']],
    ['understudy_requests_total_bucket{le="1"}', ['understudy_requests_total_bucket']],
    ['sun(understudy_ready)', ['sun']],
    ['sum by (route, le) (rate(understudy_request_duration_seconds_bucket{role=~"a{1}|b"}[5m] offset 1d))', []],
  ])('finds what we do not have in %s', (expr, expected) => {
    expect(unknownIn(expr)).toEqual(expected)
  })
})

describe('the Grafana dashboard', () => {
  it('names only metrics and labels that Understudy has', () => {
    const wrong = exprsOfDashboard().flatMap(expr => unknownIn(expr).map(unknown => `${unknown} in ${expr}`))
    expect(wrong).toEqual([])
  })

  it('shows every metric that Understudy has', () => {
    const shown = new Set(exprsOfDashboard().flatMap(expr => namedIn(expr).selectors.map(({ metric }) => metric)))
    const isShown = (name: string) => shown.has(name) || shown.has(`${name}_bucket`)
    expect(Object.keys(METRICS).filter(name => !isShown(name))).toEqual([])
  })

  it('asks the data source that is picked, and filters by the gateways that are', () => {
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', 'instance', 'route'])
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana puts the variable's value in
    const picked = 'prometheus ${datasource}'
    const used = panels.flatMap(({ datasource, targets }) => [datasource, ...targets.map(target => target.datasource)])
    expect(new Set(used.map(({ type, uid }) => `${type} ${uid}`))).toEqual(new Set([picked]))
    for (const expr of exprsOfDashboard()) {
      for (const { metric, labels } of namedIn(expr).selectors) {
        expect([metric, labels.includes('instance')]).toEqual([metric, true])
        const hasRoute = METRICS[metric.replace(/_bucket$/, '')]!.includes('route')
        expect([expr, labels.includes('route')]).toEqual([expr, hasRoute])
      }
    }
  })

  it('gives every panel an id and a place of its own, within 24 columns', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    const taken = new Map<string, number>()
    for (const { id, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x}/${y}`), `panels ${id} and ${taken.get(`${x}/${y}`)} overlap`).toBeUndefined()
          taken.set(`${x}/${y}`, id)
        }
      }
    }
  })

  it('gives every panel a title of its own, and targets with letters of their own', () => {
    const titles = dashboard.panels.map(({ title }) => title)
    expect(new Set(titles).size).toBe(titles.length)
    for (const { targets } of panels) {
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length)
    }
  })

  it('has a row for each question that a person on call asks', () => {
    expect(rows.map(({ title }) => title)).toEqual([
      'At a glance',
      'Traffic by version',
      'Errors',
      'Latency',
      'Shadow account',
      'Comparisons',
      'Gate',
      'After a promotion',
      'Labels, webhooks and spans',
      'Process',
    ])
  })

  it.skipIf(!HAS_PROMTOOL)('has expressions that Prometheus can read', async () => {
    const rules = exprsOfDashboard().map((expr, index) => ({ record: `dashboard:${index}`, expr }))
    const { status, output } = await checkRules({ groups: [{ name: 'dashboard', rules }] })
    expect({ status, output }).toEqual({ status: 0, output: expect.stringContaining(`${rules.length} rules found`) })
  })
})

describe('the alert rules', () => {
  it('name only metrics and labels that Understudy has', () => {
    expect(alerts.flatMap(({ alert, expr }) => unknownIn(expr).map(unknown => `${unknown} in ${alert}`))).toEqual([])
  })

  it('have names of their own', () => {
    const names = alerts.map(({ alert }) => alert)
    expect(new Set(names).size).toBe(names.length)
  })

  it('tell of labels that their expression can have', () => {
    for (const { alert, expr, annotations } of alerts) {
      const { selectors } = namedIn(expr)
      const has = [...SCRAPED, ...selectors.flatMap(({ metric }) => METRICS[metric.replace(/_bucket$/, '')] ?? [])]
      const told = Object.values(annotations).flatMap(each =>
        [...each.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!),
      )
      expect([alert, told.filter(label => !has.includes(label))]).toEqual([alert, []])
    }
  })

  it('end their sentences', () => {
    for (const { annotations } of alerts)
      for (const sentence of Object.values(annotations)) expect(sentence).toMatch(/\.$/)
  })

  it('are each tried: once where they fire, and once where they do not', () => {
    const Tests = z.object({
      tests: z.array(
        z.object({
          alert_rule_test: z.array(z.object({ alertname: text, exp_alerts: z.array(z.unknown()).nullish() })),
        }),
      ),
    })
    const tests = ALERT_TESTS.flatMap(file => Tests.parse(parse(readFileSync(file, 'utf8'))).tests)
    const tried = tests.flatMap(({ alert_rule_test }) => alert_rule_test)
    const fired = tried.filter(({ exp_alerts }) => (exp_alerts ?? []).length > 0).map(({ alertname }) => alertname)
    const silent = tried.filter(({ exp_alerts }) => (exp_alerts ?? []).length === 0).map(({ alertname }) => alertname)
    for (const { alert } of alerts) {
      expect([alert, fired.includes(alert), silent.includes(alert)]).toEqual([alert, true, true])
    }
  })

  it.skipIf(!HAS_PROMTOOL)('are rules that Prometheus can read', async () => {
    const { status, output } = await promtool(['check', 'rules', ALERTS])
    expect({ status, output }).toEqual({ status: 0, output: expect.stringContaining(`${alerts.length} rules found`) })
  })

  it.skipIf(!HAS_PROMTOOL)('fire and stay silent as their tests say', { timeout: PROMTOOL_MS }, async () => {
    const { status, output } = await promtool(['test', 'rules', ...ALERT_TESTS])
    expect({ status, output }).toEqual({ status: 0, output: expect.stringMatching(/SUCCESS[\s\S]*SUCCESS/) })
  })
})

/** Grafana puts durations in place of its macros, and what is picked in place of variables. */
function exprsOfDashboard(): string[] {
  const exprs = [
    ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...dashboard.annotations.list.flatMap(({ expr }) => expr ?? []),
  ]
  return exprs.map(expr => expr.replace(/\$__(rate_)?interval/g, '5m').replace(/\$(instance|route)\b/g, '.*'))
}

async function checkRules(rules: object) {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-rules-'))
  try {
    const file = join(folder, 'rules.yaml')
    await writeFile(file, JSON.stringify(rules))
    return await promtool(['check', 'rules', file])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
