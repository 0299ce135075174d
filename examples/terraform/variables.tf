variable "bucket" {
  description = "The name of a new bucket"
  type        = string
}

variable "stream_arn" {
  description = "The ARN of an existing Kinesis stream; null: only the queue"
  type        = string
  default     = null
}

variable "package" {
  description = "The zip that `make package` has made"
  type        = string
}

variable "runtime" {
  description = "The runtime that the package was made for"
  type        = string
  default     = "python3.13"
}

variable "architecture" {
  description = "The architecture that the package was made for: arm64 or x86_64"
  type        = string
  default     = "arm64"
}

variable "name" {
  description = "The start of all names"
  type        = string
  default     = "batcher"
}
