package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

func TestAccMember(t *testing.T) {
	t.Parallel()
	agent := fleet(t)
	config := func(arguments string) string {
		return provided(agent, "data \"gossip_member\" \"one\" {\n"+arguments+"\n}\n")
	}
	const one = "data.gossip_member.one"
	apply(t,
		resource.TestStep{Config: config(`name = "web"`), ExpectError: saying("n1 knows no member of that name")},
		resource.TestStep{Config: config(`name = "web-3"`), ExpectError: saying("n1 sees it as failed")},
		resource.TestStep{
			Config:      config("name = \"web-3\"\n wait = { poll = \"10ms\" }\n timeouts = { read = \"1ms\" }"),
			ExpectError: saying("0 of 1 members after"),
		},
		resource.TestStep{
			Config: config("name = \"web-3\"\n status = \"failed\""),
			Check:  resource.TestCheckResourceAttr(one, "endpoint", "10.0.0.3:7946"),
		},
		resource.TestStep{
			Config: config("name = \"web-1\"\n wait = {}"),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr(one, "observer", "n1"),
				resource.TestCheckResourceAttr(one, "status", "alive"),
				resource.TestCheckResourceAttr(one, "address", "2001:db8::1"),
				resource.TestCheckResourceAttr(one, "port", "7947"),
				resource.TestCheckResourceAttr(one, "endpoint", "[2001:db8::1]:7947"),
				resource.TestCheckResourceAttr(one, "tags.zone", "a"),
				resource.TestCheckResourceAttr(one, "protocol", "5"),
			),
		},
	)
}
