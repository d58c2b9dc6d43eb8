package webhook

// LoopbackOnly is the check of an address before it is dialled.
func LoopbackOnly(address string) error { return loopbackOnly("tcp", address, nil) }
