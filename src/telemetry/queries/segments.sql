-- The segments where a candidate differs most, of those with at least 20 pairs.
WITH toFloat64OrZero(SpanAttributes['understudy.sample.weight']) AS weight,
     SpanAttributes['understudy.compare.result'] AS result
SELECT SpanAttributes['understudy.candidate.version'] AS candidate,
       arrayJoin(splitByChar(';', SpanAttributes['understudy.compare.segments'])) AS segment,
       sum(weight) AS pairs,
       sumIf(weight, result = 'mismatch') / pairs AS share
FROM otel_traces
WHERE SpanName = concat('compare ', {route:String})
  AND Timestamp >= now() - toIntervalHour({hours:UInt32})
  AND result IN ('match', 'mismatch')
GROUP BY candidate, segment
HAVING segment != '' AND pairs >= 20
ORDER BY share DESC, pairs DESC
LIMIT 20
