package provider

import (
	"crypto/tls"
	"errors"
	"os"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-validators/providervalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// tlsAttributes are those that concern addresses with tls:// alone.
func tlsAttributes() map[string]schema.Attribute {
	pem := func(description string, sensitive bool) schema.Attribute {
		return schema.StringAttribute{
			Optional: true, Sensitive: sensitive, MarkdownDescription: description,
			Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
		}
	}
	return map[string]schema.Attribute{
		"ca_pem":           pem("For `tls://`: certificates to trust, as PEM, in place of the system's. Conflicts with `ca_file`.", false),
		"ca_file":          pem("For `tls://`: path of a PEM file with the certificates to trust in place of the system's.", false),
		"client_cert_pem":  pem("For `tls://`: certificate to show, as PEM, followed by what lies between it and a root. Needs `client_key_pem`.", false),
		"client_cert_file": pem("For `tls://`: path of a PEM file with the certificate to show. Needs `client_key_file`; conflicts with `client_cert_pem`.", false),
		"client_key_pem":   pem("For `tls://`: private key of `client_cert_pem`, as PEM. It may be an ephemeral value.", true),
		"client_key_file":  pem("For `tls://`: path of a PEM file with the private key of `client_cert_file`.", false),
		"tls_server_name":  pem("For `tls://`: name that the certificate must be for. Defaults to the host of the address.", false),
		"insecure_skip_verify": schema.BoolAttribute{
			Optional:            true,
			MarkdownDescription: "For `tls://`: whether any certificate will do, so that whoever is in between can read and change everything. Defaults to `false`.",
		},
	}
}

func tlsValidators() []provider.ConfigValidator {
	return []provider.ConfigValidator{
		providervalidator.Conflicting(path.MatchRoot("ca_pem"), path.MatchRoot("ca_file")),
		providervalidator.Conflicting(path.MatchRoot("client_cert_pem"), path.MatchRoot("client_cert_file")),
		providervalidator.RequiredTogether(path.MatchRoot("client_cert_pem"), path.MatchRoot("client_key_pem")),
		providervalidator.RequiredTogether(path.MatchRoot("client_cert_file"), path.MatchRoot("client_key_file")),
	}
}

// tls makes the settings for TLS; nil if no address uses it.
func (m providerModel) tls(addrs []string, diags *diag.Diagnostics) *tls.Config {
	if !slices.ContainsFunc(addrs, session.UsesTLS) {
		for name, v := range map[string]types.String{
			"ca_pem": m.CAPEM, "ca_file": m.CAFile, "client_cert_pem": m.CertPEM, "client_cert_file": m.CertFile, "tls_server_name": m.ServerName,
		} {
			if !v.IsNull() {
				diags.AddAttributeError(path.Root(name), "There is no address with TLS",
					"Nothing would be encrypted: `"+name+"` has a meaning for addresses that begin with tls:// alone.")
			}
		}
		return nil
	}
	read := func(name string, pem, file types.String) []byte {
		switch {
		case !pem.IsNull():
			return []byte(pem.ValueString())
		case file.IsNull():
			return nil
		}
		text, err := os.ReadFile(file.ValueString())
		if err != nil {
			diags.AddAttributeError(path.Root(name), "A file for TLS cannot be read", err.Error()+".")
		}
		return text
	}
	settings := session.TLS{
		CA: read("ca_file", m.CAPEM, m.CAFile), Cert: read("client_cert_file", m.CertPEM, m.CertFile), Key: read("client_key_file", m.KeyPEM, m.KeyFile),
		ServerName: m.ServerName.ValueString(), Insecure: m.Insecure.ValueBool(),
	}
	if diags.HasError() {
		return nil
	}
	if settings.Insecure {
		diags.AddAttributeWarning(path.Root("insecure_skip_verify"), "The agent's certificate is not checked",
			"Whoever is between here and the agent can read the token, and act as the agent.")
	}
	cfg, err := settings.Config()
	from := func(pem types.String, name string) path.Path {
		if pem.IsNull() {
			return path.Root(name + "_file")
		}
		return path.Root(name + "_pem")
	}
	switch {
	case errors.Is(err, session.ErrCA):
		diags.AddAttributeError(from(m.CAPEM, "ca"), "The certificates to trust cannot be used", err.Error()+".")
	case err != nil:
		diags.AddAttributeError(from(m.CertPEM, "client_cert"), "The client's certificate cannot be used", err.Error()+".")
	}
	return cfg
}
