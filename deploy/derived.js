'use strict';
// Values derived from the parameters of serverless.yml. Times are as in batcher/tools/plan/mapping.py.
const MAX_VISIBILITY_S = 43200;
const VISIBILITY_TIMEOUTS = 6; // plus the window. Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS"
const OUTAGE_S = 3600; // in a shorter outage, no message reaches the dead-letter queue
const MIN_RECEIVES = 5;
const SLOW = 0.8; // share of the timeout

// Without ReportBatchItemFailures, AWS ignores the list of failures in a response, and those records would be lost.
// So the setting and the mapping always change together.
const RESPONSE_TYPES = { true: 'ReportBatchItemFailures', false: null };

module.exports = async ({ resolveVariable }) => {
  const given = await resolveVariable('self:custom.parameters');
  const source = (kind, logicalId) =>
    given[kind] === 'existing' ? given[`${kind}_arn`] : { 'Fn::GetAtt': [logicalId, 'Arn'] };
  const visibilityS = Math.min(
    MAX_VISIBILITY_S,
    VISIBILITY_TIMEOUTS * given.timeout + given.window
  );
  return {
    visibility_timeout_s: visibilityS,
    max_receive_count: Math.max(MIN_RECEIVES, Math.ceil(OUTAGE_S / visibilityS)),
    slow_ms: SLOW * 1000 * given.timeout,
    old_s: given.alarm_age,
    response_type: RESPONSE_TYPES[given.partial_response],
    queue_arn: source('queue', 'Queue'),
    stream_arn: source('stream', 'Stream'),
  };
};
