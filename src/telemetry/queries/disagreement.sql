-- How often each candidate differs. A mismatch is kept always and stands for itself, a match stands for 1/ratio requests.
WITH toFloat64OrZero(SpanAttributes['understudy.sample.weight']) AS weight,
     SpanAttributes['understudy.compare.result'] AS result
SELECT SpanAttributes['understudy.candidate.version'] AS candidate,
       sum(weight) AS pairs,
       sumIf(weight, result = 'mismatch') AS differ,
       differ / pairs AS share,
       count() AS spans
FROM otel_traces
WHERE SpanName = concat('compare ', {route:String})
  AND Timestamp >= now() - toIntervalHour({hours:UInt32})
  AND result IN ('match', 'mismatch')
GROUP BY candidate
ORDER BY share DESC
