//! What a patch tells the runtime about std's symbolizer, under the exported symbol [`SYMBOL`].
//!
//! std lists the loaded libraries when it prints its first backtrace with names, and keeps that
//! list: functions of libraries that are loaded later would have no names. The list is a static
//! that std fills when it is empty and only touches while it holds a lock. Putting the static
//! back to what it is in the program's file makes std list the libraries again.
//!
//! All words are little-endian; addresses are static ones in the program's file.
//!
//! ```text
//!  0  lock function u64    8  lock u64    16  list u64    24  list's length u64
//! 32  the list's initial bytes
//! ```

/// The name of the exported symbol.
pub const SYMBOL: &str = "__hotpatch_symbolizer";
/// The size of the part before the initial bytes.
pub const HEADER_SIZE: usize = 32;
/// No list is longer, in bytes.
pub const MAX_LIST: usize = 64 * 1024;

/// Where std's list of libraries is, and how it looks when it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbolizer {
    /// The function with which std takes the lock.
    pub lock_function: u64,
    /// The lock, eight bytes.
    pub lock: u64,
    /// The list.
    pub list: u64,
    /// The list's bytes in the program's file.
    pub initial: Vec<u8>,
}

impl Symbolizer {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let words = [self.lock_function, self.lock, self.list, self.initial.len() as u64];
        let mut out: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        out.extend_from_slice(&self.initial);
        out
    }

    /// How long the encoded form is that starts with `header`, in bytes; none where that is no
    /// header or the list is too long.
    pub fn total_length(header: &[u8; HEADER_SIZE]) -> Option<usize> {
        let (_, length) = header.split_last_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        (length <= MAX_LIST).then_some(HEADER_SIZE + length)
    }

    /// Reads the encoded form.
    pub fn decode(bytes: &[u8]) -> Option<Symbolizer> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_SIZE>()?;
        let length = Self::total_length(header)? - HEADER_SIZE;
        let mut words = header.chunks_exact(8).map(|w| w.try_into().map(u64::from_le_bytes));
        let mut word = || words.next().and_then(Result::ok);
        let (lock_function, lock, list) = (word()?, word()?, word()?);
        Some(Symbolizer { lock_function, lock, list, initial: rest.get(..length)?.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_went_in_and_not_when_cut() {
        let given = Symbolizer { lock_function: 1, lock: 2, list: 3, initial: vec![0, 0x80, 7, 9] };
        let bytes = given.encode();
        assert_eq!(Symbolizer::decode(&bytes), Some(given));
        for cut in 0..bytes.len() {
            assert_eq!(Symbolizer::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
