'use strict';
// What follows from the parameters of serverless.yml; times as batcher/tools/plan/mapping.py has them.
const LONGEST_VISIBILITY_S = 43200;
const VISIBILITY_TIMEOUTS = 6; // and the window: AWS Lambda's guide, "Using Lambda with Amazon SQS"
const OUTAGE_S = 3600; // no message reaches the dead letters in a shorter one
const FEWEST_RECEIVES = 5;
const SLOW = 0.8; // of the timeout

// AWS ignores an answer without ReportBatchItemFailures, and would lose what it lists: always both.
const RESPONSE_TYPES = { true: 'ReportBatchItemFailures', false: null };

const json = (value) => (typeof value === 'string' ? JSON.parse(value) : value);
const listed = (value) => String(value).split(',').map((one) => one.trim());

module.exports = async ({ resolveVariable }) => {
  const given = await resolveVariable('self:custom.parameters');
  const source = (kind, logicalId) =>
    given[kind] === 'existing' ? given[`${kind}_arn`] : { 'Fn::GetAtt': [logicalId, 'Arn'] };
  const visibilityS = Math.min(
    LONGEST_VISIBILITY_S,
    VISIBILITY_TIMEOUTS * given.timeout + given.window
  );
  return {
    visibility_timeout_s: visibilityS,
    max_receive_count: Math.max(FEWEST_RECEIVES, Math.ceil(OUTAGE_S / visibilityS)),
    slow_ms: SLOW * 1000 * given.timeout,
    old_s: given.alarm_age,
    response_type: RESPONSE_TYPES[given.partial_response],
    reserved_concurrency: given.reserved_concurrency,
    stack_tags: json(given.stack_tags),
    vpc: given.subnet_ids && {
      subnetIds: listed(given.subnet_ids),
      securityGroupIds: listed(given.security_group_ids),
    },
    environments: Object.fromEntries(
      ['sqs', 'kinesis', 'dynamodb'].map((kind) => [
        kind,
        { ...json(given.environment), BATCHER_ROOT: given[`${kind}_root`] },
      ])
    ),
    filters: Object.fromEntries(
      ['queue_filters', 'stream_filters', 'table_filters'].map((name) => [name, json(given[name])])
    ),
    // CloudFormation leaves AWS::NoValue out of the list of policies
    added_policy:
      given.iam_statements == null
        ? { Ref: 'AWS::NoValue' }
        : {
            PolicyName: 'added',
            PolicyDocument: { Version: '2012-10-17', Statement: json(given.iam_statements) },
          },
    queue_arn: source('queue', 'Queue'),
    stream_arn: source('stream', 'Stream'),
  };
};
