output "cloud_init" {
  description = "User data for cloud-init: user, configuration, systemd unit, and commands that start the agent."
  value       = local.cloud_init
}

output "systemd_unit" {
  description = "The systemd unit, for machines without cloud-init."
  value       = local.unit
}

output "agent_config" {
  description = "The agent's configuration as JSON."
  value       = local.config
}
