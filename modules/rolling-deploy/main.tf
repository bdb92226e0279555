locals {
  # Each wave is a value of the tag. What the event of a wave says: "RELEASE TAG=VALUE".
  payloads = [for value in var.waves : "${var.release} ${var.wave_tag}=${value}"]

  # The gate of each wave looks at the members of that wave alone.
  filters = [for value in var.waves : merge(var.filter_tags, { (var.wave_tag) = value })]
}

# Terraform cannot put the instances of one resource in an order, so there is a resource for each wave, and each waits for
# the one before: a wave whose gate does not open stops those after it.

resource "gossip_event" "wave_1" {
  count = length(var.waves) >= 1 ? 1 : 0

  name     = var.event
  payload  = local.payloads[0]
  triggers = var.triggers

  gate = {
    query         = var.query
    payload       = var.release
    filter_tags   = local.filters[0]
    expect        = coalesce(var.expect, var.release)
    min_percent   = var.min_percent
    timeout       = var.wave_timeout
    query_timeout = var.query_timeout
    interval      = var.interval
  }
}

resource "gossip_event" "wave_2" {
  count = length(var.waves) >= 2 ? 1 : 0

  name     = var.event
  payload  = local.payloads[1]
  triggers = var.triggers

  gate = {
    query         = var.query
    payload       = var.release
    filter_tags   = local.filters[1]
    expect        = coalesce(var.expect, var.release)
    min_percent   = var.min_percent
    timeout       = var.wave_timeout
    query_timeout = var.query_timeout
    interval      = var.interval
  }

  depends_on = [gossip_event.wave_1]
}

resource "gossip_event" "wave_3" {
  count = length(var.waves) >= 3 ? 1 : 0

  name     = var.event
  payload  = local.payloads[2]
  triggers = var.triggers

  gate = {
    query         = var.query
    payload       = var.release
    filter_tags   = local.filters[2]
    expect        = coalesce(var.expect, var.release)
    min_percent   = var.min_percent
    timeout       = var.wave_timeout
    query_timeout = var.query_timeout
    interval      = var.interval
  }

  depends_on = [gossip_event.wave_2]
}

resource "gossip_event" "wave_4" {
  count = length(var.waves) >= 4 ? 1 : 0

  name     = var.event
  payload  = local.payloads[3]
  triggers = var.triggers

  gate = {
    query         = var.query
    payload       = var.release
    filter_tags   = local.filters[3]
    expect        = coalesce(var.expect, var.release)
    min_percent   = var.min_percent
    timeout       = var.wave_timeout
    query_timeout = var.query_timeout
    interval      = var.interval
  }

  depends_on = [gossip_event.wave_3]
}

resource "gossip_event" "wave_5" {
  count = length(var.waves) >= 5 ? 1 : 0

  name     = var.event
  payload  = local.payloads[4]
  triggers = var.triggers

  gate = {
    query         = var.query
    payload       = var.release
    filter_tags   = local.filters[4]
    expect        = coalesce(var.expect, var.release)
    min_percent   = var.min_percent
    timeout       = var.wave_timeout
    query_timeout = var.query_timeout
    interval      = var.interval
  }

  depends_on = [gossip_event.wave_4]
}

resource "gossip_event" "wave_6" {
  count = length(var.waves) >= 6 ? 1 : 0

  name     = var.event
  payload  = local.payloads[5]
  triggers = var.triggers

  gate = {
    query         = var.query
    payload       = var.release
    filter_tags   = local.filters[5]
    expect        = coalesce(var.expect, var.release)
    min_percent   = var.min_percent
    timeout       = var.wave_timeout
    query_timeout = var.query_timeout
    interval      = var.interval
  }

  depends_on = [gossip_event.wave_5]
}

resource "gossip_event" "wave_7" {
  count = length(var.waves) >= 7 ? 1 : 0

  name     = var.event
  payload  = local.payloads[6]
  triggers = var.triggers

  gate = {
    query         = var.query
    payload       = var.release
    filter_tags   = local.filters[6]
    expect        = coalesce(var.expect, var.release)
    min_percent   = var.min_percent
    timeout       = var.wave_timeout
    query_timeout = var.query_timeout
    interval      = var.interval
  }

  depends_on = [gossip_event.wave_6]
}

resource "gossip_event" "wave_8" {
  count = length(var.waves) >= 8 ? 1 : 0

  name     = var.event
  payload  = local.payloads[7]
  triggers = var.triggers

  gate = {
    query         = var.query
    payload       = var.release
    filter_tags   = local.filters[7]
    expect        = coalesce(var.expect, var.release)
    min_percent   = var.min_percent
    timeout       = var.wave_timeout
    query_timeout = var.query_timeout
    interval      = var.interval
  }

  depends_on = [gossip_event.wave_7]
}
