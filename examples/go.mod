module github.com/seed-645ce708/gossip/examples

go 1.26.0
