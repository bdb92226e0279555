package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"flag"
)

// keySize is what keygen makes, for AES-256.
const keySize = 32

func keygenCommand() *command {
	return &command{
		name:     "keygen",
		args:     "[options]",
		synopsis: "Generates a new encryption key",
		help:     "Generates a key for the encryption of gossip, as 'gossip agent -encrypt' and 'gossip keys -install' take it.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			form := formatFlag(fs)
			return func(context.Context, []string) error {
				key := make([]byte, keySize)
				_, _ = rand.Read(key) // never fails (crypto/rand)
				text := base64.StdEncoding.EncodeToString(key)
				if *form == formatJSON {
					return c.printJSON(map[string]string{"key": text})
				}
				return c.printf("%s\n", text)
			}
		},
	}
}
