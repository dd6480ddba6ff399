package main

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

const (
	chunkLen                               = 1024
	chunkStart, chunkEnd, parent, rootFlag = 1, 2, 4, 8
)

var blake3IV = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
var permutation = [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8}

// blake3 hashes a stream: the chunk that is being filled, and the subtrees that are complete.
type blake3 struct {
	chunk  []byte
	chunks uint64
	stack  [][8]uint32
}

func compress(chaining [8]uint32, m [16]uint32, counter uint64, length, flags uint32) [8]uint32 {
	var s [16]uint32
	copy(s[:], chaining[:])
	copy(s[8:], blake3IV[:4])
	s[12], s[13], s[14], s[15] = uint32(counter), uint32(counter>>32), length, flags
	g := func(a, b, c, d int, x, y uint32) {
		s[a] += s[b] + x
		s[d] = bits.RotateLeft32(s[d]^s[a], -16)
		s[c] += s[d]
		s[b] = bits.RotateLeft32(s[b]^s[c], -12)
		s[a] += s[b] + y
		s[d] = bits.RotateLeft32(s[d]^s[a], -8)
		s[c] += s[d]
		s[b] = bits.RotateLeft32(s[b]^s[c], -7)
	}
	for round := 0; round < 7; round++ {
		for i := 0; i < 4; i++ {
			g(i, 4+i, 8+i, 12+i, m[2*i], m[2*i+1])
		}
		for i := 0; i < 4; i++ {
			g(i, 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4, m[8+2*i], m[9+2*i])
		}
		var permuted [16]uint32
		for to, from := range permutation {
			permuted[to] = m[from]
		}
		m = permuted
	}
	for i := range chaining {
		chaining[i] = s[i] ^ s[i+8]
	}
	return chaining
}

func hashChunk(data []byte, counter uint64, root uint32) [8]uint32 {
	chaining := blake3IV
	for at := 0; at == 0 || at < len(data); at += 64 {
		var block [64]byte
		length, flags := copy(block[:], data[at:]), uint32(0)
		if at == 0 {
			flags |= chunkStart
		}
		if at+64 >= len(data) {
			flags |= chunkEnd | root
		}
		var words [16]uint32
		for i := range words {
			words[i] = binary.LittleEndian.Uint32(block[4*i:])
		}
		chaining = compress(chaining, words, counter, uint32(length), flags)
	}
	return chaining
}

func hashParent(left, right [8]uint32, root uint32) [8]uint32 {
	var words [16]uint32
	copy(words[:], left[:])
	copy(words[8:], right[:])
	return compress(blake3IV, words, 0, 64, parent|root)
}

func (h *blake3) update(data []byte) {
	h.chunk = append(h.chunk, data...)
	for len(h.chunk) > chunkLen { // the last chunk waits for digest
		value := hashChunk(h.chunk[:chunkLen], h.chunks, 0)
		h.chunk, h.chunks = h.chunk[chunkLen:], h.chunks+1
		for count := h.chunks; count%2 == 0; count /= 2 {
			value = hashParent(h.stack[len(h.stack)-1], value, 0)
			h.stack = h.stack[:len(h.stack)-1]
		}
		h.stack = append(h.stack, value)
	}
}

func (h *blake3) digest() string {
	isRoot := func(left int) uint32 {
		if left == 0 {
			return rootFlag
		}
		return 0
	}
	value := hashChunk(h.chunk, h.chunks, isRoot(len(h.stack)))
	for left := len(h.stack); left > 0; left-- {
		value = hashParent(h.stack[left-1], value, isRoot(left-1))
	}
	var out [32]byte
	for i, word := range value {
		binary.LittleEndian.PutUint32(out[4*i:], word)
	}
	return hex.EncodeToString(out[:])
}
