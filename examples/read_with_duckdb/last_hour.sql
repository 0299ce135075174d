-- Orders that arrived in the last hour. DuckDB opens only objects of these partitions, ...
CREATE OR REPLACE TEMP VIEW last_hour AS
FROM orders
WHERE dt || 'T' || hour >= strftime(timezone('UTC', now()) - INTERVAL 1 HOUR, '%Y-%m-%dT%H')
  -- ... and then leaves out the records before the hour
  AND placed_at >= strftime(timezone('UTC', now()) - INTERVAL 1 HOUR, '%Y-%m-%dT%H:%M:%SZ');

-- Each order once: a queue may deliver a message again, in another batch
CREATE OR REPLACE TEMP VIEW last_hour_once AS
FROM last_hour
QUALIFY row_number() OVER (PARTITION BY id ORDER BY placed_at) = 1;
