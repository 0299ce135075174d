# All of this is there only with `stream_arn`.

resource "aws_sqs_queue" "given_up" {
  count                     = var.stream_arn == null ? 0 : 1
  name                      = "${var.name}-given-up"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_cloudwatch_log_group" "kinesis" {
  count             = var.stream_arn == null ? 0 : 1
  name              = "/aws/lambda/${var.name}-kinesis"
  retention_in_days = 14
}

data "aws_iam_policy_document" "kinesis" {
  count = var.stream_arn == null ? 0 : 1
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.kinesis[0].arn}:*"]
  }
  statement {
    sid = "Read"
    actions = [
      "kinesis:DescribeStream",
      "kinesis:DescribeStreamSummary",
      "kinesis:GetRecords",
      "kinesis:GetShardIterator",
      "kinesis:ListShards",
    ]
    resources = [var.stream_arn]
  }
  statement {
    sid       = "GiveUp"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.given_up[0].arn]
  }
  statement {
    sid       = "Write"
    actions   = ["s3:PutObject", "s3:GetObject"]
    resources = ["${aws_s3_bucket.objects.arn}/kinesis/*"]
  }
}

resource "aws_iam_role" "kinesis" {
  count              = var.stream_arn == null ? 0 : 1
  name               = "${var.name}-kinesis"
  assume_role_policy = data.aws_iam_policy_document.lambda.json
}

resource "aws_iam_role_policy" "kinesis" {
  count  = var.stream_arn == null ? 0 : 1
  name   = "batcher"
  role   = aws_iam_role.kinesis[0].id
  policy = data.aws_iam_policy_document.kinesis[0].json
}

resource "aws_lambda_function" "kinesis" {
  count            = var.stream_arn == null ? 0 : 1
  function_name    = "${var.name}-kinesis"
  role             = aws_iam_role.kinesis[0].arn
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  handler          = "batcher.handler.handler"
  runtime          = var.runtime
  architectures    = [var.architecture]
  memory_size      = 256
  timeout          = 60
  environment {
    variables = {
      BATCHER_BUCKET           = var.bucket
      BATCHER_ROOT             = "kinesis"
      BATCHER_ENGINE           = "obstore"
      BATCHER_PARTIAL_RESPONSE = "true" # only with ReportBatchItemFailures, below
    }
  }
  depends_on = [aws_cloudwatch_log_group.kinesis, aws_iam_role_policy.kinesis]
}

resource "aws_lambda_event_source_mapping" "kinesis" {
  count                              = var.stream_arn == null ? 0 : 1
  event_source_arn                   = var.stream_arn
  function_name                      = aws_lambda_function.kinesis[0].arn
  enabled                            = true
  batch_size                         = 10000
  maximum_batching_window_in_seconds = 20
  parallelization_factor             = 1
  starting_position                  = "TRIM_HORIZON"
  maximum_retry_attempts             = -1
  maximum_record_age_in_seconds      = -1
  bisect_batch_on_function_error     = true
  function_response_types            = ["ReportBatchItemFailures"]
  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.given_up[0].arn
    }
  }
}
