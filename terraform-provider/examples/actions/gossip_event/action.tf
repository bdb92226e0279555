action "gossip_event" "deploy" {
  config {
    name         = "deploy"
    payload      = "v42"
    wait_timeout = "1m"
  }
}

resource "terraform_data" "release" {
  input = "v42"

  lifecycle {
    action_trigger {
      events  = [after_create, after_update]
      actions = [action.gossip_event.deploy]
    }
  }
}
