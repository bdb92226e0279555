variable "peers" {
  description = "Gossip addresses of agents to join, as host:port, or host for the default port. The agent's own address may be among them, so that every agent of a fleet can be given the same list."
  type        = set(string)

  validation {
    condition     = length(var.peers) > 0
    error_message = "Name at least one peer, such as \"10.0.0.2:7946\"."
  }
}

variable "min_members" {
  description = "Fewest alive members that the agent must see before the module is done, itself included."
  type        = number
  default     = 2

  validation {
    condition     = var.min_members >= 2 && floor(var.min_members) == var.min_members
    error_message = "A cluster has at least 2 members, so min_members must be a whole number from 2 up."
  }
}

variable "min_contacted" {
  description = "Fewest peers that must be reached when joining."
  type        = number
  default     = 1
}

variable "stable_for" {
  description = "For how long the members must have stayed the same, as a duration such as \"5s\"."
  type        = string
  default     = "0s"
}

variable "timeout" {
  description = "Longest time for joining and waiting together, as a duration such as \"2m\"."
  type        = string
  default     = "2m"
}

variable "replay_events" {
  description = "Whether the agent handles the user events that its peers remember from before it joined."
  type        = bool
  default     = false
}

variable "triggers" {
  description = "Values of your own. A change of any of them joins again, in place."
  type        = map(string)
  default     = {}
}
