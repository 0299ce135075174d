'use strict';
// What follows from the parameters of serverless.yml; times as batcher/planning/event_source.py has them.
const LONGEST_VISIBILITY_S = 43200;
const VISIBILITY_TIMEOUTS = 6; // and the window: AWS Lambda's guide, "Using Lambda with Amazon SQS"
const OUTAGE_S = 3600; // no message reaches the dead letters in a shorter one
const FEWEST_RECEIVES = 5;
const SLOW = 0.8; // of the timeout

// AWS ignores an answer without ReportBatchItemFailures, and would lose what it lists: always both.
const RESPONSE_TYPES = { true: 'ReportBatchItemFailures', false: null };

module.exports = async ({ resolveVariable }) => {
  const param = (name) => resolveVariable(`param:${name}`);
  const source = async (kind, logicalId) => {
    if ((await param(kind)) !== 'existing') return { 'Fn::GetAtt': [logicalId, 'Arn'] };
    const arn = await resolveVariable(`param:${kind}_arn, ''`);
    if (!arn.startsWith('arn:')) throw new Error(`${kind}=existing needs --param '${kind}_arn=arn:…'`);
    return arn;
  };
  const timeoutS = Number(await param('timeout'));
  const visibilityS = Math.min(
    LONGEST_VISIBILITY_S,
    VISIBILITY_TIMEOUTS * timeoutS + Number(await param('window'))
  );
  const answers = String(await param('partial_response'));
  if (!(answers in RESPONSE_TYPES)) throw new Error('partial_response is true or false');
  return {
    visibility_timeout_s: visibilityS,
    max_receive_count: Math.max(FEWEST_RECEIVES, Math.ceil(OUTAGE_S / visibilityS)),
    slow_ms: SLOW * 1000 * timeoutS,
    old_s: Number(await param('alarm_age')),
    response_type: RESPONSE_TYPES[answers],
    queue_arn: await source('queue', 'Queue'),
    stream_arn: await source('stream', 'Stream'),
  };
};
