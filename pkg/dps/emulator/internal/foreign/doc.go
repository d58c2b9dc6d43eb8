// Package foreign runs clients that this project did not write, as they come
// from their registry, against the emulator. It is for tests only.
//
// The clients are Node packages, pinned by testdata/node/package-lock.json of
// package emulator and installed by
//
//	npm ci --ignore-scripts
//
// in that folder. The scripts that drive them lie beside the lock file. Where
// Node, the packages or a port that a client insists on are missing, the tests
// skip and say what to do. With DPSKIT_REQUIRE=1 in the environment, as where all
// of it must be there, they fail instead.
package foreign
