variable "release" {
  description = "What to deploy, as handlers understand it, such as a version. It has no spaces. A change deploys."
  type        = string

  validation {
    condition     = can(regex("^\\S+$", var.release))
    error_message = "The release must not be empty or have spaces: the payload of the event is \"RELEASE TAG=VALUE\"."
  }
}

variable "waves" {
  description = "Values of the tag wave_tag, in the order in which their members are deployed; at most 8."
  type        = list(string)

  validation {
    condition     = length(var.waves) >= 1 && length(var.waves) <= 8
    error_message = "There must be 1 to 8 waves."
  }

  validation {
    condition     = length(distinct(var.waves)) == length(var.waves)
    error_message = "A wave is there twice."
  }

  validation {
    condition     = alltrue([for wave in var.waves : can(regex("^[A-Za-z0-9_-]+$", wave))])
    error_message = "A wave is a tag's value of letters, digits, hyphens and underscores."
  }
}

variable "wave_tag" {
  description = "Tag that says to which wave a member belongs."
  type        = string
  default     = "wave"
}

variable "filter_tags" {
  description = "Further tags of the members that must answer, each with a regular expression for the whole value, such as { role = \"web\" }."
  type        = map(string)
  default     = {}
}

variable "event" {
  description = "Name of the event that deploys."
  type        = string
  default     = "deploy"
}

variable "query" {
  description = "Name of the query that members answer with the release that they run."
  type        = string
  default     = "release"
}

variable "expect" {
  description = "Regular expression that a good answer matches as a whole. Defaults to the release itself."
  type        = string
  default     = null
}

variable "min_percent" {
  description = "Fewest members of a wave that must answer well, in percent."
  type        = number
  default     = 100
}

variable "wave_timeout" {
  description = "Longest time for a wave, as a duration such as \"5m\"."
  type        = string
  default     = "5m"
}

variable "query_timeout" {
  description = "How long one query waits for answers, as a duration."
  type        = string
  default     = "5s"
}

variable "interval" {
  description = "Pause before a wave is asked again, as a duration."
  type        = string
  default     = "2s"
}

variable "triggers" {
  description = "Values of your own. A change of any of them deploys all waves again."
  type        = map(string)
  default     = {}
}
