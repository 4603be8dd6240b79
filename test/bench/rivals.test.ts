import { describe, expect, it } from 'vitest'
import { proxyPlots } from '../../bench/load/proxiesPlots.ts'
import { type ProxiesResults, renderProxies } from '../../bench/load/proxiesTable.ts'
import { envoyConfiguration } from '../../bench/load/rivals/envoy.ts'
import { haproxyConfiguration } from '../../bench/load/rivals/haproxy.ts'
import { nginxConfiguration } from '../../bench/load/rivals/nginx.ts'
import { askPortkey, completionOf } from '../../bench/load/rivals/portkey.ts'
import { splitRequests } from '../../bench/load/splitGateway.ts'
import { seededRandom } from '../../src/load/schedule.ts'

const split = { live: 7001, canary: 7002, shadow: undefined }
const mirrored = { ...split, shadow: 7003 }

describe('the other proxies get the work that ours gets', () => {
  it('nginx: one request in a hundred to the canary, a copy to the shadow where there is one, connections kept', () => {
    const plain = nginxConfiguration(8000, split, '/tmp/x')
    expect(plain).toContain('1% canary; * live;')
    expect(plain).toContain('server 127.0.0.1:7001; keepalive')
    expect(plain).not.toMatch(/mirror|7003/)
    const copied = nginxConfiguration(8000, mirrored, '/tmp/x')
    expect(copied).toContain('mirror /mirror;')
    expect(copied).toContain('proxy_pass http://shadow$request_uri;')
    expect(copied.split('{').length).toBe(copied.split('}').length)
  })

  it('Envoy: weighted clusters, a mirror policy where there is a shadow', () => {
    const routeOf = (text: string) =>
      JSON.parse(text).static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config
        .virtual_hosts[0].routes[0].route
    const weights = routeOf(envoyConfiguration(8000, split)).weighted_clusters.clusters
    expect(weights).toEqual([
      { name: 'live', weight: 99 },
      { name: 'canary', weight: 1 },
    ])
    expect(routeOf(envoyConfiguration(8000, split)).request_mirror_policies).toBeUndefined()
    expect(routeOf(envoyConfiguration(8000, mirrored)).request_mirror_policies).toEqual([{ cluster: 'shadow' }])
    expect(JSON.parse(envoyConfiguration(8000, mirrored)).static_resources.clusters).toHaveLength(3)
  })

  it('HAProxy: weights on two servers', () => {
    const text = haproxyConfiguration(8000, split)
    expect(text).toContain('server live 127.0.0.1:7001 weight 99')
    expect(text).toContain('server canary 127.0.0.1:7002 weight 1')
  })
})

describe('Portkey', () => {
  it('is told versions and weights in a header', () => {
    const { headers } = askPortkey(split)
    const config = JSON.parse(headers[headers.indexOf('x-portkey-config') + 1]!)
    expect(
      config.targets.map(({ custom_host, weight }: { custom_host: string; weight: number }) => [custom_host, weight]),
    ).toEqual([
      ['http://127.0.0.1:7001', 99],
      ['http://127.0.0.1:7002', 1],
    ])
  })

  it('is sent the numbers of a request as a completion of the same length', () => {
    const [request] = splitRequests(seededRandom(1), 1)
    const completion = completionOf(request!)
    expect(completion).toHaveLength(request!.length)
    expect(JSON.parse(completion).prompt).toEqual(JSON.parse(request!).inputs[0].data)
  })
})

describe('the table of other proxies', () => {
  const spread = { median: 2, low: 1, high: 3, windows: 5 }
  const results: ProxiesResults = {
    resultsVersion: 1,
    date: '2026-11-29T00:00:00Z',
    machine: { cpu: 'a processor', cores: 2, system: 'linux', loadBefore: 0, loadAfter: 1 },
    node: 'v26.10.0',
    commit: 'abc',
    quick: false,
    method: {
      rounds: 5,
      windowSeconds: 0.25,
      rateRounds: 1,
      rateSeconds: 1,
      loadedSeconds: 0.2,
      ratePerSecond: 250,
      rateSetBy: 'nginx',
      generatorLateP99Ms: 0.1,
      connections: 8,
      bodyBytes: 1000,
      pinned: true,
    },
    versions: { nginx: '1.2.3' },
    missing: ['Envoy (not installed)'],
    systems: [
      {
        system: 'nginx',
        work: 'W1',
        perSecond: spread,
        servingUs: undefined,
        treeUs: spread,
        failures: 0,
        threads: undefined,
        fixedRate: {
          requests: 1000,
          failures: 4,
          p50: { ms: 1.5, low: 1, high: 2 },
          p99: { ms: 2.5, low: 2, high: 4 },
          p999: undefined,
          windowsP50Ms: spread,
          windowsP99Ms: spread,
          treeUs: spread,
        },
        beforeMiB: 10,
        afterMiB: undefined,
      },
    ],
    comparisons: [
      {
        question: 'ours / nginx',
        ratio: { median: 3, low: 2.5, high: 3.5, pairs: 5 },
        target: 1,
        verdict: 'missed',
      },
    ],
    mirrors: [
      {
        system: 'nginx, mirror',
        sent: 1000,
        received: { requests: 400, rows: 990, bytes: 400_000 },
        account: undefined,
      },
    ],
    wrk: {
      version: '4.1.0',
      rounds: 2,
      seconds: 1,
      systems: [
        {
          system: 'nginx',
          ours: spread,
          wrk: spread,
          oursOverWrk: { median: 0.5, low: 0.4, high: 0.6, pairs: 2 },
          failures: 0,
          wrkFailures: 7,
        },
      ],
    },
  }

  it('names what is not installed, guesses no thread, and tells a loss', () => {
    const text = renderProxies(results)
    expect(text).toContain('Not measured: Envoy (not installed).')
    expect(text).toContain('nginx 1.2.3, wrk 4.1.0.')
    expect(text).toContain('| nginx | W1 | 2 (1–3) | – | 2.0 (1.0–3.0) | 0 |')
    expect(text).toContain('| ours / nginx | 3.000 | 2.500 to 3.500 | ≤ 1.00 | missed |')
  })

  it('says after what load each window was', () => {
    expect(renderProxies(results)).toContain('in random order, each after 0.2 s of the same load, quarters in brackets')
  })

  it('tells percentiles of all requests beside the spread of windows, failures, and memory where it is known', () => {
    expect(renderProxies(results)).toContain(
      '| nginx | 1.50 (1.00–2.00) | 2.50 (2.00–4.00) | – | 2.00 (1.00–3.00) | 2 (1–3) | 1000 | 4 | 10 | – |',
    )
  })

  it('counts copies where they arrive, in rows and in requests', () => {
    expect(renderProxies(results)).toContain('| nginx, mirror | 1000 | 990 | 99.00 % | 400 | 2.48 |')
  })

  it('sets our generator beside wrk, and leaves it out where wrk is not', () => {
    expect(renderProxies(results)).toContain('| nginx | 2 (1–3) | 2 (1–3) | 0.50 | 0.40 to 0.60 | 0, 7 |')
    expect(renderProxies({ ...results, wrk: undefined })).not.toContain('wrk')
  })

  it('draws both plots without a number that is none, where processor time is not known as well', () => {
    const unknown = { median: Number.NaN, low: Number.NaN, high: Number.NaN, windows: 5 }
    const other = { ...results.systems[0]!, system: '<other>', work: 'W2' as const, treeUs: unknown }
    const plots = proxyPlots({ ...results, systems: [...results.systems, other] })
    expect(plots.map(([name]) => name)).toEqual(['cpu', 'latency'])
    for (const [, svg] of plots) {
      expect(svg).not.toMatch(/NaN|Infinity|undefined|<other>/)
      expect(svg).toContain('&lt;other>')
    }
  })
})
