// Command golog verifies a log with the code of Go's checksum database, which shares nothing with ours.
//
// Usage: golog <directory>, where the directory is laid out as crates/merkle/examples/write_log.rs writes it.
// It checks the Ed25519 signature of both checkpoints, every tile against the signed root, every leaf, the
// consistency of the two checkpoints, and the inclusion proofs, both those it makes itself and the .tlog-proof
// files. It prints a line beginning with "ok" for each, and fails at the first that is wrong.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: golog <directory>")
		os.Exit(2)
	}
	if err := verify(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "golog:", err)
		os.Exit(1)
	}
}

func verify(directory string) error {
	verifiers, err := readVerifiers(filepath.Join(directory, "ed25519.vkey"))
	if err != nil {
		return err
	}
	old, err := readCheckpoint(filepath.Join(directory, "old.checkpoint"), verifiers)
	if err != nil {
		return err
	}
	tree, err := readCheckpoint(filepath.Join(directory, "log", "checkpoint"), verifiers)
	if err != nil {
		return err
	}
	fmt.Printf("ok checkpoints of sizes %d and %d\n", old.N, tree.N)

	reader := tlog.TileHashReader(tree, tiles(filepath.Join(directory, "log")))
	if err := verifyLeaves(filepath.Join(directory, "log"), tree, reader); err != nil {
		return err
	}
	fmt.Printf("ok %d leaves and their tiles\n", tree.N)

	proof, err := tlog.ProveTree(tree.N, old.N, reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return err
	}
	fmt.Printf("ok consistency from %d to %d\n", old.N, tree.N)
	return verifyProofs(directory, verifiers, reader)
}

// readVerifiers reads the key of the log.
func readVerifiers(path string) (note.Verifiers, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	return note.VerifierList(verifier), nil
}

func readCheckpoint(path string, verifiers note.Verifiers) (tlog.Tree, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	return openCheckpoint(text, verifiers)
}

// openCheckpoint verifies a checkpoint and reads its three lines.
func openCheckpoint(text []byte, verifiers note.Verifiers) (tlog.Tree, error) {
	signed, err := note.Open(text, verifiers)
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != signed.Sigs[0].Name {
		return tlog.Tree{}, errors.New("the checkpoint is not three lines that begin with the name of its key")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// tiles reads tiles from the directory of a log. Its caller authenticates what it returns.
type tiles string

func (tiles) Height() int { return 8 }

func (directory tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		// Go's checksum database names the height of its tiles in their paths; C2SP tlog-tiles does not.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(string(directory), path))
		if err != nil {
			return nil, err
		}
		all = append(all, bytes)
	}
	return all, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// verifyLeaves compares every leaf with the authenticated hashes of the tiles.
func verifyLeaves(directory string, tree tlog.Tree, reader tlog.HashReader) error {
	for first := int64(0); first < tree.N; first += 256 {
		width := min(256, tree.N-first)
		entries, err := readEntries(directory, first/256, int(width))
		if err != nil {
			return err
		}
		var indexes []int64
		for i := range width {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+i))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != hashes[i] {
				return fmt.Errorf("leaf %d is not the one in the tree", first+int64(i))
			}
		}
	}
	return nil
}

// readEntries reads the entry bundle at index, which must hold exactly width entries.
func readEntries(directory string, index int64, width int) ([][]byte, error) {
	tile := tlog.Tile{H: 8, L: 0, N: index, W: width}
	path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
	rest, err := os.ReadFile(filepath.Join(directory, path))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(rest) >= 2 {
		length := int(binary.BigEndian.Uint16(rest))
		if len(rest) < 2+length {
			break
		}
		entries = append(entries, rest[2:2+length])
		rest = rest[2+length:]
	}
	if len(rest) != 0 || len(entries) != width {
		return nil, fmt.Errorf("%s does not hold %d entries", path, width)
	}
	return entries, nil
}

// verifyProofs checks each .tlog-proof file, and that the proof in it is the one Go makes out of the tiles.
func verifyProofs(directory string, verifiers note.Verifiers, reader tlog.HashReader) error {
	files, err := filepath.Glob(filepath.Join(directory, "*.tlog-proof"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("there are no .tlog-proof files")
	}
	for _, file := range files {
		index, err := verifyProof(file, verifiers, reader)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		fmt.Printf("ok inclusion of leaf %d\n", index)
	}
	return nil
}

func verifyProof(file string, verifiers note.Verifiers, reader tlog.HashReader) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	leaf, err := os.ReadFile(strings.TrimSuffix(file, ".tlog-proof") + ".leaf")
	if err != nil {
		return 0, err
	}
	above, checkpoint, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(above, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return 0, errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return 0, err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return 0, err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint([]byte(checkpoint), verifiers)
	if err != nil {
		return 0, err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaf)); err != nil {
		return 0, err
	}
	made, err := tlog.ProveRecord(tree.N, index, reader)
	if err != nil {
		return 0, err
	}
	if len(made) != len(proof) {
		return 0, errors.New("the proof is not the one made from the tiles")
	}
	for i := range made {
		if made[i] != proof[i] {
			return 0, errors.New("the proof is not the one made from the tiles")
		}
	}
	return index, nil
}
