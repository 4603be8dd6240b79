import { describe, expect, it } from 'vitest'
import { type ProxiesResults, renderProxies } from '../../bench/load/proxiesTable.ts'
import { envoyConfiguration } from '../../bench/load/rivals/envoy.ts'
import { haproxyConfiguration } from '../../bench/load/rivals/haproxy.ts'
import { nginxConfiguration } from '../../bench/load/rivals/nginx.ts'

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

describe('the table of other proxies', () => {
  const spread = { median: 2, low: 1, high: 3, windows: 5 }
  const results: ProxiesResults = {
    resultsVersion: 1,
    date: '2026-11-29T00:00:00Z',
    machine: { cpu: 'a processor', cores: 2, system: 'linux', loadBefore: 0, loadAfter: 1 },
    node: 'v26.10.0',
    commit: 'abc',
    quick: false,
    method: { rounds: 5, windowSeconds: 0.25, connections: 8, bodyBytes: 1000, pinned: true },
    versions: { nginx: '1.2.3' },
    missing: ['Envoy'],
    systems: [{ system: 'nginx', work: 'W1', perSecond: spread, servingUs: undefined, treeUs: spread, failures: 0 }],
    comparisons: [
      {
        question: 'ours / nginx',
        ratio: { median: 3, low: 2.5, high: 3.5, pairs: 5 },
        target: 1,
        verdict: 'missed',
      },
    ],
    accounts: [],
  }

  it('names what is not installed, guesses no thread, and tells a loss', () => {
    const text = renderProxies(results)
    expect(text).toContain('Not installed and so not measured: Envoy.')
    expect(text).toContain('nginx 1.2.3.')
    expect(text).toContain('| nginx | W1 | 2 (1–3) | – | 2.0 (1.0–3.0) | 0 |')
    expect(text).toContain('| ours / nginx | 3.000 | 2.500 to 3.500 | ≤ 1.00 | missed |')
  })
})
