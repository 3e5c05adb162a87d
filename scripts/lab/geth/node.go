//go:build tools

// Package node names the program that scripts/lab/nodes.sh builds.
package node

import _ "github.com/ethereum/go-ethereum/cmd/geth"
