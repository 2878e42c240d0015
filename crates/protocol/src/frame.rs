//! A patch on the wire: one binary frame of a 4-byte big-endian header length, the header as
//! JSON, and the library's bytes to the end of the frame.

use serde::{Deserialize, Serialize};

/// No frame may be larger than this, in bytes.
pub const MAX_FRAME: usize = 512 * 1024 * 1024;

/// What the server says of a patch beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchHeader {
    /// The patch's id, counted from 1 for each fat build.
    pub patch: u32,
    /// The build id of the program that it is for, lower-case hex.
    pub build_id: String,
    /// A hash of the library's bytes, lower-case hex: equal content is not loaded twice.
    pub content_hash: String,
    /// The demangled names of the functions that change.
    pub functions: Vec<String>,
    /// The names of the types that get another layout, of which the program must carry over all
    /// values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<String>,
}

/// Why a frame could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// The frame ends before its header does.
    Truncated,
    /// The header is not the JSON that it should be.
    Header(String),
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FrameError::Truncated => f.write_str("the patch frame ends before its header does"),
            FrameError::Header(e) => write!(f, "the patch frame's header cannot be read: {e}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Packs a patch into one frame.
///
/// # Errors
/// [`FrameError::Header`] where the header cannot be written as JSON.
pub fn encode(header: &PatchHeader, library: &[u8]) -> Result<Vec<u8>, FrameError> {
    let json = serde_json::to_vec(header).map_err(|e| FrameError::Header(e.to_string()))?;
    let length = u32::try_from(json.len()).map_err(|e| FrameError::Header(e.to_string()))?;
    let mut frame = Vec::with_capacity(4 + json.len() + library.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&json);
    frame.extend_from_slice(library);
    Ok(frame)
}

/// Takes a frame apart into the header and the library's bytes.
///
/// # Errors
/// [`FrameError`] where the frame is cut short or its header is not readable.
pub fn decode(frame: &[u8]) -> Result<(PatchHeader, &[u8]), FrameError> {
    let (length, rest) = frame.split_first_chunk::<4>().ok_or(FrameError::Truncated)?;
    let length = u32::from_be_bytes(*length) as usize;
    let (json, library) = rest.split_at_checked(length).ok_or(FrameError::Truncated)?;
    let header = serde_json::from_slice(json).map_err(|e| FrameError::Header(e.to_string()))?;
    Ok((header, library))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> PatchHeader {
        PatchHeader {
            patch: 7,
            build_id: "ab12".into(),
            content_hash: "00".into(),
            functions: vec!["a::b".into()],
            carried: vec!["a::T".into()],
        }
    }

    #[test]
    fn a_frame_comes_back_as_it_went_in() {
        let frame = encode(&header(), b"ELF").unwrap();
        assert_eq!(decode(&frame).unwrap(), (header(), &b"ELF"[..]));
    }

    #[test]
    fn a_frame_cut_anywhere_in_its_header_is_an_error() {
        let frame = encode(&header(), b"").unwrap();
        for cut in 0..frame.len() {
            assert!(decode(&frame[..cut]).is_err(), "cut at {cut}");
        }
    }
}
