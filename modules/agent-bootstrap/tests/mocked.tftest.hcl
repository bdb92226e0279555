# What the module renders. It has no provider, so there is nothing to mock.

run "renders" {
  command = apply

  variables {
    retry_join       = ["10.0.0.2", "10.0.0.3:7946"]
    tags             = { role = "web" }
    encrypted        = true
    settings         = { log_level = "warn" }
    install_commands = [["install", "/mnt/gossip", "/usr/local/bin/gossip"]]
  }

  assert {
    condition     = jsondecode(output.agent_config).retry_join[1] == "10.0.0.3:7946" && jsondecode(output.agent_config).log_level == "warn"
    error_message = "the configuration is not what was asked for"
  }

  assert {
    condition     = jsondecode(output.agent_config).keyring_file == "/var/lib/gossip/keyring" && !contains(keys(jsondecode(output.agent_config)), "start_join")
    error_message = "the keyring is missing, or a setting that nobody made is there"
  }

  assert {
    condition     = startswith(output.cloud_init, "#cloud-config\n") && yamldecode(output.cloud_init).write_files[0].content == output.agent_config
    error_message = "the user data has no configuration"
  }

  assert {
    condition     = yamldecode(output.cloud_init).write_files[1].content == output.systemd_unit && yamldecode(output.cloud_init).runcmd[0][0] == "install"
    error_message = "the user data has no unit, or does not install first"
  }

  assert {
    condition     = strcontains(output.systemd_unit, "ExecStart=/usr/local/bin/gossip agent -config-dir=/etc/gossip\n")
    error_message = "the unit does not start the agent"
  }
}

run "bad_user" {
  command = plan

  variables {
    user = "no such user"
  }

  expect_failures = [var.user]
}

run "bad_state" {
  command = plan

  variables {
    state_dir = "/tmp/x"
  }

  expect_failures = [var.state_dir]
}
