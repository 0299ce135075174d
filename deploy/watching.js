'use strict';
// Alarms and a dashboard for each function. docs/how-to/operate.md says what to do at each alarm.
const derive = require('./derived.js');

const OURS = 'batcher';
const LAMBDA = 'AWS/Lambda';
const SQS = 'AWS/SQS';
const KINESIS = 'AWS/Kinesis';
const FIVE_MINUTES = 300;
// Periods that are looked at, and how many of them must be bad
const ONCE = [1, 1];
const QUARTER_OF_AN_HOUR = [3, 3];
// A message that fails comes back after the visibility timeout, perhaps alone: its third failure rings
const thrice = (visibilityS) => [1 + 3 * Math.ceil(visibilityS / FIVE_MINUTES), 3];

// A metric: namespace, name, dimensions.
const of = (namespace, name, dimensions) => ({ namespace, name, dimensions });

// What a function shows, whatever its source. `id` is the logical ID of osls' function.
const metricsOf = (id) => {
  const ours = (name) => of(OURS, `batcher_${name}`, { FunctionName: { Ref: id } });
  const lambda = (name) => of(LAMBDA, name, { FunctionName: { Ref: id } });
  return { ours, lambda };
};

// Rows: suffix, what it says, metric, statistic, threshold, periods of five minutes.
const alarmsOf = ({ ours, lambda }, source, { age, lost, read }, limits) => [
  ['Age', `records of the ${source} wait too long`, age.metric, 'Maximum', age.limit, ONCE],
  ['Errors', 'invocations fail', lambda('Errors'), 'Sum', 0, thrice(limits.visibility_timeout_s)],
  ['FailedRecords', 'records were not durable in time and come back', ours('failed_records_total'), 'Sum', 0, thrice(limits.visibility_timeout_s)],
  ['SlowDown', 'S3 throttles', ours('throttles_total'), 'Sum', 0, QUARTER_OF_AN_HOUR],
  ['Throttles', 'Lambda has no room for invocations', lambda('Throttles'), 'Sum', 0, QUARTER_OF_AN_HOUR],
  ['Quarantined', 'bad records were set aside', ours('quarantined_records_total'), 'Sum', 0, ONCE],
  ['Transform', 'every record of an event failed in the transform', ours('transform_failures_total'), 'Sum', 0, ONCE],
  ['Duration', 'invocations come near their timeout', lambda('Duration'), 'Maximum', limits.slow_ms, ONCE],
  ...(lost ? [['DeadLetters', 'records were given up, and wait in a queue', lost, 'Maximum', 0, ONCE]] : []),
  ...(read ? [['Unread', `nobody reads the ${source}`, read, 'Sum', 1, QUARTER_OF_AN_HOUR, SILENCE_RINGS]] : []),
];

const MORE_RINGS = { ComparisonOperator: 'GreaterThanThreshold', TreatMissingData: 'notBreaching' };
const SILENCE_RINGS = { ComparisonOperator: 'LessThanThreshold', TreatMissingData: 'breaching' };

const alarm = (says, { namespace, name, dimensions }, statistic, threshold, [periods, bad], rings = MORE_RINGS) => ({
  Type: 'AWS::CloudWatch::Alarm',
  Properties: {
    AlarmDescription: `batcher: ${says}. docs/how-to/operate.md says what to do.`,
    Namespace: namespace,
    MetricName: name,
    Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
    Statistic: statistic,
    Period: FIVE_MINUTES,
    EvaluationPeriods: periods,
    DatapointsToAlarm: bad,
    Threshold: threshold,
    ...rings,
    AlarmActions: { 'Fn::If': ['HasTopic', [{ Ref: 'AlarmTopicArn' }], { Ref: 'AWS::NoValue' }] },
    OKActions: { 'Fn::If': ['HasTopic', [{ Ref: 'AlarmTopicArn' }], { Ref: 'AWS::NoValue' }] },
  },
});

// Rows: title, then [metric, statistic] each.
const widgetsOf = ({ ours, lambda }, sourceWidgets) => [
  ['Records', [ours('records_total'), 'Sum'], [ours('failed_records_total'), 'Sum'], [ours('quarantined_records_total'), 'Sum'], [ours('dropped_records_total'), 'Sum'], [ours('left_out_records_total'), 'Sum'], [ours('refused_records_total'), 'Sum']],
  ['Seconds from arrival until durable', [ours('oldest_record_age_seconds'), 'p50'], [ours('oldest_record_age_seconds'), 'Maximum']],
  ...sourceWidgets,
  ['Objects', [ours('objects_total'), 'Sum'], [ours('flushes_event_total'), 'Sum'], [ours('flushes_bytes_total'), 'Sum'], [ours('flushes_records_total'), 'Sum']],
  ['Bytes of payloads and of objects', [ours('payload_bytes_total'), 'Sum'], [ours('object_bytes_total'), 'Sum']],
  ['Seconds of a PUT', [ours('put_seconds'), 'p50'], [ours('put_seconds'), 'p99']],
  ['Requests sent again, S3 throttling', [ours('retries_total'), 'Sum'], [ours('throttles_total'), 'Sum']],
  ['Invocations', [lambda('Invocations'), 'Sum'], [lambda('Errors'), 'Sum'], [lambda('Throttles'), 'Sum'], [ours('cold_starts_total'), 'Sum'], [ours('deadline_cuts_total'), 'Sum'], [ours('transform_failures_total'), 'Sum']],
  ['Milliseconds of an invocation', [lambda('Duration'), 'p50'], [lambda('Duration'), 'Maximum']],
  ['Invocations at once', [lambda('ConcurrentExecutions'), 'Maximum']],
];

// A dashboard's body is JSON in a string; what CloudFormation fills in stands as ${Name} in it.
const dashboard = (name, rows) => {
  const filled = {};
  const shown = (value) => {
    if (typeof value === 'string') return value;
    const key = `Value${Object.keys(filled).length}`;
    const known = Object.keys(filled).find((one) => JSON.stringify(filled[one]) === JSON.stringify(value));
    if (!known) filled[key] = value;
    return `\${${known || key}}`;
  };
  const widgets = rows.map(([title, ...lines], number) => ({
    type: 'metric',
    x: 8 * (number % 3),
    y: 6 * Math.floor(number / 3),
    width: 8,
    height: 6,
    properties: {
      title,
      region: '${AWS::Region}',
      period: FIVE_MINUTES,
      metrics: lines.map(([{ namespace, name: metric, dimensions }, stat]) => [
        namespace,
        metric,
        ...Object.entries(dimensions).flatMap(([key, value]) => [key, shown(value)]),
        { stat },
      ]),
    },
  }));
  return {
    Type: 'AWS::CloudWatch::Dashboard',
    Properties: {
      DashboardName: name,
      DashboardBody: { 'Fn::Sub': [JSON.stringify({ widgets }), filled] },
    },
  };
};

// A queue's ARN ends in its name, a stream's too.
const nameOf = (arn) => String(arn).split(/[:/]/).pop();

module.exports = async ({ resolveVariable }) => {
  const limits = await derive({ resolveVariable });
  const stack = `${await resolveVariable('param:name')}-${await resolveVariable('sls:stage')}`;
  const watch = (prefix, source, seen, sourceWidgets) => {
    const metrics = metricsOf(`${prefix}LambdaFunction`);
    const resources = {};
    for (const [suffix, ...row] of alarmsOf(metrics, source, seen(metrics), limits)) {
      resources[`${prefix}${suffix}Alarm`] = alarm(...row);
    }
    const name = `${stack}-${prefix.toLowerCase()}-\${AWS::Region}`;
    resources[`${prefix}Dashboard`] = dashboard({ 'Fn::Sub': name }, widgetsOf(metrics, sourceWidgets(metrics)));
    return { Resources: resources };
  };
  const queue = (name, metric) => of(SQS, metric, { QueueName: name });
  const waiting = 'ApproximateNumberOfMessagesVisible';

  const sqs = (name, deadLetters) => watch('Sqs', 'queue',
    () => ({
      age: { metric: queue(name, 'ApproximateAgeOfOldestMessage'), limit: limits.old_s },
      lost: deadLetters && queue(deadLetters, waiting),
    }),
    () => [
      ['Messages of the queue', [queue(name, 'NumberOfMessagesSent'), 'Sum'], [queue(name, waiting), 'Maximum'], [queue(name, 'ApproximateNumberOfMessagesNotVisible'), 'Maximum'],
        ...(deadLetters ? [[queue(deadLetters, waiting), 'Maximum']] : [])],
      ['Seconds that the oldest message waits', [queue(name, 'ApproximateAgeOfOldestMessage'), 'Maximum']],
    ]);
  // Lambda reads every shard each second, whether there are records or not
  const reads = (name) => of(KINESIS, 'GetRecords.Success', { StreamName: name });
  const givenUpIn = (id) => queue({ 'Fn::GetAtt': [id, 'QueueName'] }, waiting);
  const kinesis = (name) => watch('Kinesis', 'stream',
    ({ lambda }) => ({
      age: { metric: lambda('IteratorAge'), limit: 1000 * limits.old_s },
      lost: givenUpIn('GivenUp'),
      read: reads(name),
    }),
    ({ lambda }) => [
      ['Milliseconds that the oldest record waits', [lambda('IteratorAge'), 'Maximum']],
      ['Records put, and looks for them', [of(KINESIS, 'IncomingRecords', { StreamName: name }), 'Sum'], [reads(name), 'Sum']],
      ['Batches given up', [givenUpIn('GivenUp'), 'Maximum']],
    ]);
  // No alarm Unread: it is not documented that Lambda's reads are in the metrics of a table
  const dynamodb = () => watch('Dynamodb', 'stream of the table',
    ({ lambda }) => ({
      age: { metric: lambda('IteratorAge'), limit: 1000 * limits.old_s },
      lost: givenUpIn('TableGivenUp'),
    }),
    ({ lambda }) => [
      ['Milliseconds that the oldest record waits', [lambda('IteratorAge'), 'Maximum']],
      ['Batches given up', [givenUpIn('TableGivenUp'), 'Maximum']],
    ]);
  return {
    sqs: {
      off: {},
      new: sqs({ 'Fn::GetAtt': ['Queue', 'QueueName'] }, { 'Fn::GetAtt': ['DeadLetters', 'QueueName'] }),
      existing: sqs(nameOf(limits.queue_arn)),
    },
    kinesis: { off: {}, new: kinesis({ Ref: 'Stream' }), existing: kinesis(nameOf(limits.stream_arn)) },
    dynamodb: { off: {}, existing: dynamodb() },
  };
};
