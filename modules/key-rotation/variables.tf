variable "key_version" {
  description = "Any text or number. A change rotates: the new key is installed, used, and the one before is removed."
  type        = string
}

variable "key" {
  description = "The key, in standard base64 of 16, 24 or 32 bytes: from the ephemeral resource gossip_key, or from a secret store. It is used only when key_version changes."
  type        = string
  ephemeral   = true
  sensitive   = true
}

variable "require_all" {
  description = "Whether every node must get the key."
  type        = bool
  default     = true
}

variable "timeout" {
  description = "Longest time for each step, as a duration such as \"1m\"."
  type        = string
  default     = "1m"
}
