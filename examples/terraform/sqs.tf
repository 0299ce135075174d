resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue" "queue" {
  name                       = "${var.name}-queue"
  message_retention_seconds  = 1209600
  sqs_managed_sse_enabled    = true
  visibility_timeout_seconds = 380 # six times the function's timeout, and the window
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = 10
  })
}

resource "aws_cloudwatch_log_group" "sqs" {
  name              = "/aws/lambda/${var.name}-sqs"
  retention_in_days = 14
}

data "aws_iam_policy_document" "sqs" {
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.sqs.arn}:*"]
  }
  statement {
    sid       = "Receive"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.queue.arn]
  }
  statement {
    sid       = "Write"
    actions   = ["s3:PutObject", "s3:GetObject"]
    resources = ["${aws_s3_bucket.objects.arn}/sqs/*"]
  }
}

resource "aws_iam_role" "sqs" {
  name               = "${var.name}-sqs"
  assume_role_policy = data.aws_iam_policy_document.lambda.json
}

resource "aws_iam_role_policy" "sqs" {
  name   = "batcher"
  role   = aws_iam_role.sqs.id
  policy = data.aws_iam_policy_document.sqs.json
}

resource "aws_lambda_function" "sqs" {
  function_name    = "${var.name}-sqs"
  role             = aws_iam_role.sqs.arn
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
      BATCHER_ROOT             = "sqs"
      BATCHER_ENGINE           = "obstore"
      BATCHER_PARTIAL_RESPONSE = "true" # only with ReportBatchItemFailures, below
    }
  }
  depends_on = [aws_cloudwatch_log_group.sqs, aws_iam_role_policy.sqs]
}

resource "aws_lambda_event_source_mapping" "sqs" {
  event_source_arn                   = aws_sqs_queue.queue.arn
  function_name                      = aws_lambda_function.sqs.arn
  enabled                            = true
  batch_size                         = 10000
  maximum_batching_window_in_seconds = 20
  function_response_types            = ["ReportBatchItemFailures"]
  scaling_config {
    maximum_concurrency = 5
  }
}

output "queue_url" {
  value = aws_sqs_queue.queue.url
}
