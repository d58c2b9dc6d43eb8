// Package store keeps the emulator's state: named tables of ordered keys.
//
// A [Store] offers two calls. View runs a function over a consistent picture;
// Update runs a function that may write, and returns nil only when everything
// it wrote is kept, or an error when nothing is. There is no third outcome.
//
// [NewMemory] keeps the tables in B-trees. [OpenBolt] keeps them in one bbolt
// file and returns from Update after the commit reached the disk; concurrent
// updates share a commit. Each value carries a checksum, and the whole file is
// checked before it is used: a file that is damaged, foreign or newer is
// refused as it is and never emptied or repaired behind the user's back.
package store
