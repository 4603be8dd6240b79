-- Failures of live answers by version. A failure is kept always; requests whose version a tester picked are left out.
WITH toFloat64OrZero(SpanAttributes['understudy.sample.weight']) AS weight
SELECT SpanAttributes['feature_flag.result.variant'] AS version,
       SpanAttributes['understudy.role'] AS role,
       sum(weight) AS requests,
       sumIf(weight, SpanAttributes['understudy.arm.failed'] = 'true') AS failed,
       failed / requests AS share
FROM otel_traces
WHERE SpanKind = 'Server'
  AND SpanAttributes['understudy.route'] = {route:String}
  AND SpanAttributes['feature_flag.result.reason'] != 'targeting_match'
  AND Timestamp >= now() - toIntervalHour({hours:UInt32})
GROUP BY version, role
ORDER BY share DESC
