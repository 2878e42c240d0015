//! A quick hash: the guard hashes every name of the debug information at each save, and nobody
//! chooses these names to make them collide.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map with quick hashes.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// Mixes eight bytes at a time, by both halves of a product.
#[derive(Debug, Clone, Copy)]
pub struct Quick(u64);

/// Odd numbers without a pattern: the fractions of two square roots.
const START: u64 = 0x6a09_e667_f3bc_c909;
const FACTOR: u64 = 0xbb67_ae85_84ca_a73b;

impl Default for Quick {
    fn default() -> Self {
        Quick(START)
    }
}

impl Quick {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(17) ^ START;
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.mix(chunk.try_into().map_or(0, u64::from_le_bytes));
        }
        let mut last = [0; 8];
        let rest = chunks.remainder();
        last[..rest.len()].copy_from_slice(rest);
        // The length tells "a" from "a\0".
        self.mix(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        let mut last = *self;
        last.mix(FACTOR);
        last.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(parts: &[&[u8]]) -> u64 {
        let mut hasher = Quick::default();
        parts.iter().for_each(|p| hasher.write(p));
        hasher.finish()
    }

    #[test]
    fn names_that_differ_in_one_letter_or_in_their_parts_have_other_hashes() {
        let mut seen = std::collections::HashSet::new();
        for name in 0..20_000_u32 {
            assert!(seen.insert(hash(&[format!("app::Type<{name}>").as_bytes()])));
        }
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"a"]), hash(&[b"a\0"]));
    }
}
