package main

import "os"

// operatorSignals returns no signals: Windows has none for operators.
func operatorSignals() (<-chan os.Signal, func()) { return nil, func() {} }

func isReload(os.Signal) bool { return false }
