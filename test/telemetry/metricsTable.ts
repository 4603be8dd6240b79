// Every metric that Understudy has, and its labels: what PROTOCOLS.md and README promise. Dashboards and alerts may use no other.

/** Label names, sorted; `le` of histograms left out. */
export const METRICS: Readonly<Record<string, readonly string[]>> = {
  http_server_request_duration_seconds: [
    'error_type',
    'http_request_method',
    'http_response_status_code',
    'http_route',
    'url_scheme',
  ],
  process_cpu_seconds_total: [],
  process_resident_memory_bytes: [],
  process_start_time_seconds: [],
  understudy_build_info: ['version'],
  understudy_comparisons_total: ['candidate', 'result', 'route'],
  understudy_config_reload_total: ['result'],
  understudy_config_valid: [],
  understudy_decline_log_evidence: ['route'],
  understudy_declined: ['metric', 'route'],
  understudy_gate_log_evalue: ['candidate', 'metric', 'route'],
  understudy_gate_log_evalue_limit: ['candidate', 'metric', 'route'],
  understudy_gate_verdict: ['candidate', 'route', 'verdict'],
  understudy_inference_duration_seconds: ['role', 'route', 'version'],
  understudy_labels_total: ['outcome', 'route'],
  understudy_mirror_in_flight_requests: ['candidate', 'route'],
  understudy_mirror_requests_total: ['candidate', 'reason', 'route', 'state'],
  understudy_model_info: ['digest', 'model', 'runtime', 'version'],
  understudy_notifications_total: ['event', 'outcome', 'route'],
  understudy_ready: [],
  understudy_received_spans_total: ['outcome', 'route'],
  understudy_request_duration_seconds: ['role', 'route', 'version'],
  understudy_requests_total: ['code', 'role', 'route', 'version'],
  understudy_ring_dropped_records_total: ['reason'],
  understudy_route_weight: ['route', 'version'],
  understudy_shadow_requests_total: ['outcome', 'route', 'version'],
  understudy_spans_dropped_total: ['reason'],
  understudy_state_store_up: [],
  understudy_thread_busy_seconds_total: ['thread'],
}

/** Those of them that are histograms. */
export const HISTOGRAMS: readonly string[] = [
  'http_server_request_duration_seconds',
  'understudy_inference_duration_seconds',
  'understudy_request_duration_seconds',
]
