// Envoy's configuration for one worker thread: weighted clusters, a mirror policy where there is a shadow, no access log.
// envoy.config.route.v3.RouteAction: weighted_clusters, request_mirror_policies.
import { type Backends, CANARY_PERCENT } from './backends.ts'

/** JSON is YAML, and has no indentation to get wrong. */
export function envoyConfiguration(port: number, { live, canary, shadow, shadowDeadline = 30 }: Backends): string {
  const cluster = (name: string, at: number) => ({
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(at) } }] }],
    },
  })
  const route = {
    // A mirrored request has no timeout of its own: the route's is for both.
    timeout: `${shadowDeadline}s`,
    weighted_clusters: {
      clusters: [
        { name: 'live', weight: 100 - CANARY_PERCENT },
        { name: 'canary', weight: CANARY_PERCENT },
      ],
    },
    ...(shadow !== undefined && { request_mirror_policies: [{ cluster: 'shadow' }] }),
  }
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'data',
    generate_request_id: true,
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route }] }] },
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
      },
    ],
  }
  return JSON.stringify({
    static_resources: {
      listeners: [
        {
          name: 'data',
          address: address(port),
          filter_chains: [
            { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
          ],
        },
      ],
      clusters: [
        cluster('live', live),
        cluster('canary', canary),
        ...(shadow === undefined ? [] : [cluster('shadow', shadow)]),
      ],
    },
  })
}

function address(port: number) {
  return { socket_address: { address: '127.0.0.1', port_value: port } }
}
