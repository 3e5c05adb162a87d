// verify-tiles checks a Seawall journal with an implementation that is not Seawall's: the checkpoint's
// signature, the root recomputed from the entries and from the tiles, and an inclusion proof.
//
//	go run . DIRECTORY [VERIFIER-KEY]
//
// Without a key the last one in the file `origin` is used, which shows damage, not honesty.
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The tile height that C2SP tlog-tiles prescribes.
const height = 8

const width = 1 << height

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "verify-tiles:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errors.New("usage: verify-tiles DIRECTORY [VERIFIER-KEY]")
	}
	dir := args[0]
	key, err := keyOf(dir, args[1:])
	if err != nil {
		return err
	}
	tree, origin, err := checkpoint(dir, key)
	if err != nil {
		return err
	}
	leaves, err := entries(dir, tree.N)
	if err != nil {
		return err
	}
	if err := fromEntries(leaves, tree); err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, &tiles{dir: dir, size: tree.N})
	for _, index := range sample(tree.N) {
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			return fmt.Errorf("prove record %d from the tiles: %w", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaves[index])); err != nil {
			return fmt.Errorf("inclusion of record %d: %w", index, err)
		}
	}
	if err := everyLeafHash(reader, leaves); err != nil {
		return err
	}
	fmt.Printf("ok: %s, %d records, root %s\n", origin, tree.N, tree.Hash)
	return nil
}

func keyOf(dir string, given []string) (note.Verifier, error) {
	if len(given) == 1 {
		return note.NewVerifier(given[0])
	}
	text, err := os.ReadFile(filepath.Join(dir, "origin"))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := strings.Fields(lines[len(lines)-1])
	return note.NewVerifier(last[len(last)-1])
}

func checkpoint(dir string, key note.Verifier) (tlog.Tree, string, error) {
	msg, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return tlog.Tree{}, "", err
	}
	signed, err := note.Open(msg, note.VerifierList(key))
	if err != nil {
		return tlog.Tree{}, "", fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[0] != key.Name() {
		return tlog.Tree{}, "", errors.New("checkpoint: not of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, "", fmt.Errorf("checkpoint: %w", err)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != sha256.Size {
		return tlog.Tree{}, "", errors.New("checkpoint: not a root hash")
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree, lines[0], nil
}

// entries reads every leaf from the entry bundles.
func entries(dir string, size int64) ([][]byte, error) {
	var leaves [][]byte
	for n := int64(0); n*width < size; n++ {
		w := size - n*width
		if w > width {
			w = width
		}
		data, err := readTile(dir, "entries", n, w)
		if err != nil {
			return nil, err
		}
		for i := int64(0); i < w; i++ {
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("entry bundle %d: record %d is cut short", n, n*width+i)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			leaves = append(leaves, data[2:end])
			data = data[end:]
		}
	}
	return leaves, nil
}

// fromEntries builds the tree from the leaves alone.
func fromEntries(leaves [][]byte, tree tlog.Tree) error {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf, read)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(tree.N, read)
	if err != nil {
		return err
	}
	if tree.N == 0 {
		// RFC 6962, section 2.1: the hash of the empty string. Older sumdb/tlog gives zeros.
		root = sha256.Sum256(nil)
	}
	if root != tree.Hash {
		return fmt.Errorf("the entries have the root %s, the checkpoint signs %s", root, tree.Hash)
	}
	return nil
}

// everyLeafHash reads each leaf's hash through the tiles, which authenticates every level 0 tile.
func everyLeafHash(reader tlog.HashReader, leaves [][]byte) error {
	for start := 0; start < len(leaves); start += width {
		end := start + width
		if end > len(leaves) {
			end = len(leaves)
		}
		var indexes []int64
		for i := start; i < end; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, int64(i)))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return fmt.Errorf("tiles of records %d to %d: %w", start, end, err)
		}
		for i, hash := range hashes {
			if hash != tlog.RecordHash(leaves[start+i]) {
				return fmt.Errorf("record %d is not what its tile says", start+i)
			}
		}
	}
	return nil
}

// sample picks the records whose inclusion is proved one by one: the ends, the bundle borders, and some.
func sample(size int64) []int64 {
	var picked []int64
	for _, i := range []int64{0, 1, width - 1, width, size / 3, size / 2, size - 2, size - 1} {
		if i >= 0 && i < size {
			picked = append(picked, i)
		}
	}
	return picked
}

// tiles reads C2SP tiles, whose paths have no height, for Go's tile reader.
type tiles struct {
	dir  string
	size int64
}

func (t *tiles) Height() int { return height }

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, tile := range wanted {
		bytes, err := readTile(t.dir, strconv.Itoa(tile.L), tile.N, int64(tile.W))
		if err != nil {
			return nil, err
		}
		if len(bytes) < tile.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %d/%d is cut short", tile.L, tile.N)
		}
		data[i] = bytes[:tile.W*tlog.HashSize]
	}
	return data, nil
}

// readTile reads a tile or entry bundle: the partial one if it is there, else the full one.
func readTile(dir, kind string, n, w int64) ([]byte, error) {
	path := fmt.Sprintf("%03d", n%1000)
	for rest := n / 1000; rest > 0; rest /= 1000 {
		path = fmt.Sprintf("x%03d/%s", rest%1000, path)
	}
	full := filepath.Join(dir, "tile", kind, path)
	if w < width {
		data, err := os.ReadFile(filepath.Join(full+".p", strconv.FormatInt(w, 10)))
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return os.ReadFile(full)
}
