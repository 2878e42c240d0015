//! How code is encoded, on processors that have more than one way.

/// What the bytes at a place of a section of code are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Instructions of 32 bits each (Arm calls them A32).
    A32,
    /// Instructions of 16 or 32 bits each (T32, or Thumb).
    T32,
    /// Constants between the code.
    Data,
}

/// Where in a section which encoding begins; nothing on processors that have only one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encodings(Vec<(u64, Encoding)>);

impl Encodings {
    /// Code of one encoding from the section's start on.
    pub fn all(encoding: Encoding) -> Self {
        Encodings(vec![(0, encoding)])
    }

    /// From this offset on, to the next one that is set.
    pub fn set(&mut self, offset: u64, encoding: Encoding) {
        let at = self.0.partition_point(|(known, _)| *known <= offset);
        self.0.insert(at, (offset, encoding));
    }

    /// The encoding at an offset.
    pub fn at(&self, offset: u64) -> Option<Encoding> {
        let behind = self.0.partition_point(|(known, _)| *known <= offset);
        Some(self.0.get(behind.checked_sub(1)?)?.1)
    }

    /// What is told, in the order of the offsets.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Encoding)> + '_ {
        self.0.iter().copied()
    }
}
