terraform import gossip_tags.web web-1:svc:web,release # NODE:KEY,KEY, or NODE for all of its tags
