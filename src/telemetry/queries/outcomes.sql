-- What became of the requests that were to be pairs: compared, failed, or dropped and why.
WITH toFloat64OrZero(SpanAttributes['understudy.sample.weight']) AS weight
SELECT SpanAttributes['understudy.candidate.version'] AS candidate,
       SpanAttributes['understudy.compare.result'] AS result,
       SpanAttributes['understudy.compare.drop_reason'] AS drop_reason,
       sum(weight) AS requests
FROM otel_traces
WHERE SpanName = concat('compare ', {route:String})
  AND Timestamp >= now() - toIntervalHour({hours:UInt32})
GROUP BY candidate, result, drop_reason
ORDER BY candidate, requests DESC
