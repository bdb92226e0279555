// Package examples has one folder per use case, each with a program or configuration that can be run, and tests that
// run them with the real programs: those that this repository builds, and HAProxy, dig, Terraform and Serf. It uses the
// product by its programs only, as a user does.
package examples
