variable "services" {
  description = "Names of services, each with the fewest instances that it must have."
  type        = map(number)

  validation {
    condition     = length(var.services) > 0
    error_message = "Name at least one service, such as { web = 1 }."
  }

  validation {
    condition     = alltrue([for n in values(var.services) : n >= 0 && floor(n) == n])
    error_message = "The fewest instances of a service are a whole number from 0 up."
  }
}

variable "tags" {
  description = "Tags that the members must have besides, each with exactly this value."
  type        = map(string)
  default     = {}
}

variable "min_alive" {
  description = "Fewest alive members that the agent must see in all: fewer are an error, as if the agent could not be reached."
  type        = number
  default     = 0
}

variable "stable_for" {
  description = "For how long the instances must have stayed the same, as a duration such as \"5s\"."
  type        = string
  default     = "0s"
}

variable "timeout" {
  description = "Longest time for reading and waiting, as a duration such as \"2m\"."
  type        = string
  default     = "30s"
}
