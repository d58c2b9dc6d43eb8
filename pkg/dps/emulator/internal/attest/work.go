package attest

// Limits on the work for one decision. The search is exponential in theory:
// sixty certificates of four CAs that all certify each other make more paths
// than anybody can follow.
const (
	// maxSteps is the number of certificates that are tried in paths.
	maxSteps = 2000
	// maxSignatures is the number of signatures that are checked. It is the
	// limit of crypto/x509.
	maxSignatures = 100
	// maxComparisons is the number of names times constraints.
	maxComparisons = 250_000
)

// work counts what a decision has cost so far.
type work struct {
	// Steps, Signatures and Comparisons never exceed their limits.
	Steps, Signatures, Comparisons int
	// exhausted is set when more was wanted than is allowed.
	exhausted bool
}

func (w *work) step() bool      { return w.spend(&w.Steps, 1, maxSteps) }
func (w *work) signature() bool { return w.spend(&w.Signatures, 1, maxSignatures) }

func (w *work) signatures(n int) bool { return w.spend(&w.Signatures, n, maxSignatures) }
func (w *work) compare(n int) bool    { return w.spend(&w.Comparisons, n, maxComparisons) }

func (w *work) spend(counter *int, n, limit int) bool {
	if n > limit-*counter {
		w.exhausted = true
		return false
	}
	*counter += n
	return true
}
