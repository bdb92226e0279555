locals {
  # Null settings are left out, so that the agent's own defaults hold.
  settings = { for key, value in merge({
    start_join         = var.start_join
    retry_join         = var.retry_join
    tags               = var.tags
    event_handlers     = var.event_handlers
    bind               = var.bind
    dns_addr           = var.dns_addr
    snapshot_path      = "${var.state_dir}/snapshot"
    keyring_file       = var.encrypted ? "${var.state_dir}/keyring" : null
    leave_on_terminate = true
  }, var.settings) : key => value if value != null && try(length(value) > 0, true) }

  config = jsonencode(local.settings)

  unit = templatefile("${path.module}/gossip.service.tftpl", {
    binary     = var.binary
    config_dir = var.config_dir
    state_dir  = var.state_dir
    user       = var.user
  })

  cloud_init = "#cloud-config\n${yamlencode({
    users = ["default", { name = var.user, system = true, shell = "/usr/sbin/nologin", no_create_home = true }]
    write_files = [
      { path = "${var.config_dir}/agent.json", content = local.config, permissions = "0644" },
      { path = "/etc/systemd/system/gossip.service", content = local.unit, permissions = "0644" },
    ]
    runcmd = concat(var.install_commands, [
      ["systemctl", "daemon-reload"],
      ["systemctl", "enable", "--now", "gossip.service"],
    ])
  })}"
}
