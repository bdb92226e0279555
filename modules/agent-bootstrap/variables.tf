variable "start_join" {
  description = "Gossip addresses to join at the start, as host:port or host. A host name may stand for all agents of a site."
  type        = list(string)
  default     = []
}

variable "retry_join" {
  description = "Gossip addresses to join, tried again until one is reached."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of the agent, such as { role = \"web\" } or { \"svc:web\" = \"8080\" }."
  type        = map(string)
  default     = {}
}

variable "event_handlers" {
  description = "Event handlers as in the agent's configuration, such as \"user:deploy=/usr/local/bin/deploy\"."
  type        = list(string)
  default     = []
}

variable "bind" {
  description = "Address to gossip on, as HOST or HOST:PORT. Defaults to the agent's own default."
  type        = string
  default     = null
}

variable "dns_addr" {
  description = "Address to answer DNS on, as HOST:PORT. Left out, the agent answers none."
  type        = string
  default     = null
}

variable "encrypted" {
  description = "Whether the agent has a keyring file, STATE_DIR/keyring, which something else must bring: keys do not belong in user data."
  type        = bool
  default     = false
}

variable "settings" {
  description = "Further settings of the agent's configuration; they win over those above."
  type        = any
  default     = {}
}

variable "binary" {
  description = "Path of the gossip binary on the machine."
  type        = string
  default     = "/usr/local/bin/gossip"

  validation {
    condition     = can(regex("^/\\S+$", var.binary))
    error_message = "The path of the binary must be absolute and have no spaces."
  }
}

variable "install_commands" {
  description = "Commands that bring the binary, each a list of words, run before the agent is started. An image that has it needs none."
  type        = list(list(string))
  default     = []
}

variable "user" {
  description = "System user that the agent runs as, which cloud-init creates."
  type        = string
  default     = "gossip"

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]*$", var.user))
    error_message = "The user must be the name of a Unix user."
  }
}

variable "config_dir" {
  description = "Folder of the agent's configuration."
  type        = string
  default     = "/etc/gossip"
}

variable "state_dir" {
  description = "Folder of the agent's snapshot and keyring, below /var/lib."
  type        = string
  default     = "/var/lib/gossip"

  validation {
    condition     = can(regex("^/var/lib/[A-Za-z0-9_./-]+$", var.state_dir))
    error_message = "The folder must be below /var/lib, where systemd creates it for the user."
  }
}
