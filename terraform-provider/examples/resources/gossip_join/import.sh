terraform import gossip_join.db db-1 # the node name of the agent
