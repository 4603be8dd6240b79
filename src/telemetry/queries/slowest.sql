-- The mismatches that took the candidate longest, to be looked at one by one.
SELECT TraceId,
       SpanAttributes['understudy.request.id'] AS request_id,
       SpanAttributes['understudy.candidate.version'] AS candidate,
       toFloat64OrZero(SpanAttributes['understudy.candidate.latency_ms']) AS candidate_ms,
       toFloat64OrZero(SpanAttributes['understudy.baseline.latency_ms']) AS baseline_ms,
       coalesce(nullIf(SpanAttributes['understudy.baseline.value'], ''), SpanAttributes['understudy.baseline.label']) AS baseline,
       coalesce(nullIf(SpanAttributes['understudy.candidate.value'], ''), SpanAttributes['understudy.candidate.label']) AS candidate_said,
       SpanAttributes['understudy.compare.segments'] AS segments
FROM otel_traces
WHERE SpanName = concat('compare ', {route:String})
  AND Timestamp >= now() - toIntervalHour({hours:UInt32})
  AND SpanAttributes['understudy.compare.result'] = 'mismatch'
ORDER BY candidate_ms DESC, request_id
LIMIT 20
