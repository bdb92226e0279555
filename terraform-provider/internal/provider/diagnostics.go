package provider

import (
	"context"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// addError reports err under a summary that says what failed. The detail says what was asked of whom, what
// came back, and what to do.
func addError(diags *diag.Diagnostics, summary string, err error) {
	diags.AddError(summary, explain(err))
}

// explain puts an error into sentences for people.
func explain(err error) string {
	text := sentence(err.Error())
	var (
		failure *session.Error
		wait    *membership.WaitError
		guard   *membership.GuardError
	)
	if errors.As(err, &wait) && wait.LastError == nil && !errors.Is(wait.Cause, context.Canceled) {
		text += "\n\nCheck the members that are missing, or give more time in `timeouts`."
	}
	switch {
	case errors.As(err, &failure):
		if hint := failure.Hint(); hint != "" {
			text += "\n\n" + hint
		}
	case errors.As(err, &guard):
		text += "\n\nCheck the agent and its network. If this view is right, loosen `guard`."
	}
	return text
}

// sentence ends a text with a full stop and begins it with a capital letter.
func sentence(text string) string {
	if text == "" {
		return text
	}
	if first := text[0]; 'a' <= first && first <= 'z' {
		text = string(first-'a'+'A') + text[1:]
	}
	switch text[len(text)-1] {
	case '.', '!', '?':
		return text
	}
	return text + "."
}
