// SPDX-License-Identifier: Apache-2.0

package contract

// Options say how Load reads. The zero value has the limits of DefaultLimits and no include path.
type Options struct {
	// IncludePath lists directories of the fs.FS that are searched, in order, for a file that is not
	// found beside the one that includes it.
	IncludePath []string
	// NegativeIDs takes field ids of zero and below as they are written. Without it they are
	// replaced by -1, -2 and so on, with a warning, as Apache's compiler does without
	// --allow-neg-keys.
	NegativeIDs bool
	// Limits bound what a load may take; a zero field is that of DefaultLimits.
	Limits Limits
}

// Limits bound one Load.
type Limits struct {
	// FileBytes bounds a file, SetBytes all of them together.
	FileBytes, SetBytes int
	// Tokens bounds the words, numbers, strings and signs of all files, and with them the memory that
	// descriptors take: up to 100 times the bytes of a file that is a list of single digits.
	Tokens int
	// Files bounds how many files a set has, IncludeDepth how deep they include each other.
	Files, IncludeDepth int
	// Nesting bounds types within types and values within values, typedefs and constants that are
	// named counted as if they were written out.
	Nesting int
	// Expansion bounds the nodes of a type or a constant that is written out: a file of a few lines
	// can name one of astronomic size. SetExpansion bounds those of all constants and defaults.
	Expansion, SetExpansion int
	// Warnings bounds how many warnings a program keeps.
	Warnings int
}

// DefaultLimits are far above any IDL of people.
func DefaultLimits() Limits {
	return Limits{
		FileBytes: 4 << 20, SetBytes: 16 << 20, Tokens: 1 << 20,
		Files: 1024, IncludeDepth: 64,
		Nesting: 64, Expansion: 1 << 16, SetExpansion: 1 << 20,
		Warnings: 1000,
	}
}

// withDefaults fills the fields that are zero.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct {
		v        *int
		fallback int
	}{
		{&l.FileBytes, d.FileBytes},
		{&l.SetBytes, d.SetBytes},
		{&l.Tokens, d.Tokens},
		{&l.Files, d.Files},
		{&l.IncludeDepth, d.IncludeDepth},
		{&l.Nesting, d.Nesting},
		{&l.Expansion, d.Expansion},
		{&l.SetExpansion, d.SetExpansion},
		{&l.Warnings, d.Warnings},
	} {
		if *f.v == 0 {
			*f.v = f.fallback
		}
	}
	return l
}
