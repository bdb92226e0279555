# Within a check, trouble is a warning and does not stop the run.
check "cluster" {
  data "gossip_agent" "this" {}

  assert {
    condition     = !data.gossip_agent.this.isolated && data.gossip_agent.this.counts.failed == 0
    error_message = "${data.gossip_agent.this.name} sees failed members."
  }
}
