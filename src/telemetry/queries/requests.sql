-- Requests by the version that answered, its status, and how it was chosen.
WITH toFloat64OrZero(SpanAttributes['understudy.sample.weight']) AS weight
SELECT SpanAttributes['feature_flag.result.variant'] AS version,
       SpanAttributes['feature_flag.result.reason'] AS chosen,
       SpanAttributes['http.response.status_code'] AS status,
       sum(weight) AS requests
FROM otel_traces
WHERE SpanKind = 'Server'
  AND SpanAttributes['understudy.route'] = {route:String}
  AND Timestamp >= now() - toIntervalHour({hours:UInt32})
GROUP BY version, chosen, status
ORDER BY requests DESC
