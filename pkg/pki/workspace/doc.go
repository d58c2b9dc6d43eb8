// Package workspace keeps a test PKI in a folder, with the file names of the original certGen.sh script, so that
// tutorials written for it keep working.
//
//	<dir>/certs/azure-iot-test-only.root.ca.cert.pem
//	<dir>/certs/azure-iot-test-only.intermediate.cert.pem     the second one: azure-iot-test-only.intermediate2...
//	<dir>/certs/azure-iot-test-only.chain.ca.cert.pem         the issuing CA first, the root last
//	<dir>/certs/<name>.cert.pem                               a certificate alone
//	<dir>/certs/<name>-full-chain.cert.pem                    with every intermediate and the root
//	<dir>/certs/<name>.cert.pfx                               with its key and the chain
//	<dir>/private/<same stem>.key.pem                         the key, PKCS#8
//	<dir>/private/<name>.pfx.password                         the password of the PFX, when it was made up
//	<dir>/certgen.json                                        the manifest: what is there
//	<dir>/replaced/<UTC time>/                                what was replaced by force
//
// # Use
//
// [Open] reads a folder, which need not exist yet. [Workspace.Init] makes the CAs, [Workspace.IssueDevice] and
// [Workspace.Issue] make certificates below them, and [Workspace.Authority] and [Workspace.Bundle] give them back as
// the types of package pki. A CA is called "root", "intermediate", "intermediate2" and so on, or by its own name.
//
// A folder that the original script made has no manifest and keys encrypted with a pass phrase. It is taken as it
// is: Open lists its certificates, and the first change writes a manifest. [Rebuild] makes the manifest anew from
// the files.
//
// # Safety
//
// Nothing is overwritten unless the caller forces it, and then the old files are moved to the replaced folder. The
// one exception is the proof of possession, which is made again for every code.
//
// A change is all or nothing, even when the process is killed: the new files are written and synced under temporary
// names, a journal is written, the files are renamed, the manifest last. The next Open finishes a change whose
// journal is there. One process changes a folder at a time; others wait a few seconds, then get [ErrLocked].
//
// Files with keys are made with mode 0600 and the private folder with 0700 whatever the umask; a private folder
// that is there with a wider mode is given 0700 before a key is written into it. No symbolic link is followed out of
// the folder.
package workspace
