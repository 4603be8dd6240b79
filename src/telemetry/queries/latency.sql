-- Latency of both sides, ms, of pairs that were sent alone after the warm-up: p50, p95 and p99. Queue wait is left out.
WITH toFloat64(SpanAttributes['understudy.baseline.latency_ms']) AS baseline_ms,
     toFloat64(SpanAttributes['understudy.candidate.latency_ms']) AS candidate_ms,
     -- Weights of this function are whole numbers; at a ratio of 0.3 a request stands for 3.333.
     toUInt64(round(1000 * toFloat64OrZero(SpanAttributes['understudy.sample.weight']))) AS weight
SELECT SpanAttributes['understudy.candidate.version'] AS candidate,
       quantilesExactWeighted(0.5, 0.95, 0.99)(baseline_ms, weight) AS baseline,
       quantilesExactWeighted(0.5, 0.95, 0.99)(candidate_ms, weight) AS candidates,
       sum(weight) / 1000 AS pairs
FROM otel_traces
WHERE SpanName = concat('compare ', {route:String})
  AND Timestamp >= now() - toIntervalHour({hours:UInt32})
  AND SpanAttributes['understudy.compare.timed'] = 'true'
GROUP BY candidate
ORDER BY candidate
