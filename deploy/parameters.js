'use strict';
// What the parameters of serverless.yml may be: every fault is told at once. Gives their values, whole
// numbers as such: from the command line all is text, and osls takes no '-1' for an age.
const WHOLE = /^-?\d+$/;

const oneOf = (...values) => ({ says: values.join(' or '), holds: (value) => values.includes(value) });
const whole = (least, most = Infinity) => ({
  says: most === Infinity ? `a whole number, ${least} or more` : `a whole number from ${least} to ${most}`,
  holds: (value) => WHOLE.test(value) && least <= Number(value) && Number(value) <= most,
});
const like = (pattern, says) => ({ says, holds: (value) => pattern.test(value) });
const either = (one, other) => ({
  says: `${one.says}, or ${other.says}`,
  holds: (value) => one.holds(value) || other.holds(value),
});

const ENDLESS = oneOf('-1');
const RULES = {
  bucket: like(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'the name of a bucket'),
  bucket_is: oneOf('new', 'existing'),
  versioning: oneOf('Enabled', 'Suspended'),
  old_versions_days: whole(1),
  quarantine_days: whole(1),
  eventbridge: oneOf('on', 'off'),
  queue: oneOf('new', 'existing', 'off'),
  queue_arn: like(/^arn:[a-z-]+:sqs:[a-z0-9-]+:\d{12}:[\w-]+(\.fifo)?$/, 'the ARN of a queue'),
  stream: oneOf('new', 'existing', 'off'),
  stream_arn: like(/^arn:[a-z-]+:kinesis:[a-z0-9-]+:\d{12}:stream\/[\w.-]+$/, 'the ARN of a stream, not of a consumer'),
  shards: whole(1),
  retention_hours: whole(24, 8760),
  memory: whole(128, 10240),
  timeout: whole(1, 900),
  batch_size: whole(1, 10000),
  window: whole(0, 300),
  maximum_concurrency: whole(2, 1000),
  parallelization_factor: whole(1, 10),
  starting_position: oneOf('TRIM_HORIZON', 'LATEST'),
  maximum_retry_attempts: either(ENDLESS, whole(0, 10000)),
  maximum_record_age: either(ENDLESS, whole(60, 604800)),
  tracing: oneOf('Active', 'PassThrough'),
  alarm_age: whole(1),
  partial_response: oneOf('true', 'false'),
};
const MOST_WITHOUT_WINDOW = 10; // messages of a queue. Source: Lambda API, CreateEventSourceMapping

// Faults that lie between two parameters.
const disagreements = function* (given) {
  for (const source of ['queue', 'stream']) {
    if (given[source] === 'existing' && given[`${source}_arn`] == null) {
      yield `${source}=existing needs --param '${source}_arn=arn:…'`;
    }
  }
  if (given.queue === 'off') return;
  const isFifo = given.queue === 'existing' && String(given.queue_arn).endsWith('.fifo');
  const isLarge = given.batch_size > MOST_WITHOUT_WINDOW;
  if (isFifo && (isLarge || Number(given.window))) yield 'a FIFO queue takes batch_size=10 at most, and window=0';
  else if (isLarge && !Number(given.window)) yield `batch_size=${given.batch_size} needs a window of 1 s or more`;
};

module.exports = async ({ options, resolveVariable }) => {
  const params = await resolveVariable('self:params');
  const stage = await resolveVariable('sls:stage');
  const onCommandLine = [options.param || []].flat().map((one) => one.split('=')[0]);
  const given = {};
  for (const name of Object.keys(params.default)) given[name] = await resolveVariable(`param:${name}, null`);
  const faults = [];
  for (const name of new Set([...onCommandLine, ...Object.keys(params[stage] || {})])) {
    if (!Object.hasOwn(given, name)) faults.push(`${name}: there is no such parameter`);
  }
  if (given.bucket == null) faults.push("bucket is required: --param 'bucket=my-bucket'");
  for (const [name, { says, holds }] of Object.entries(RULES)) {
    if (given[name] != null && !holds(String(given[name]))) faults.push(`${name}=${given[name]}: must be ${says}`);
  }
  faults.push(...disagreements(given));
  if (faults.length) {
    const error = new Error(faults.join('; '));
    error.stack = ''; // osls would print it, many times
    throw error;
  }
  for (const name of Object.keys(RULES)) {
    if (WHOLE.test(given[name])) given[name] = Number(given[name]);
  }
  return given;
};
