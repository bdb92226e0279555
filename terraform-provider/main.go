// Command terraform-provider-gossip is the provider gossip for Terraform and OpenTofu, which start it as a
// plugin. With -debug it is started by hand, under a debugger say, and prints how Terraform can reach it.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/provider"
)

// version is set by the linker in releases.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "run by hand and print how Terraform can reach this process")
	flag.Parse()
	err := providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{
		Address:         "registry.terraform.io/seed-645ce708/gossip",
		Debug:           *debug,
		ProtocolVersion: 6,
	})
	if err != nil {
		log.Fatal(err)
	}
}
